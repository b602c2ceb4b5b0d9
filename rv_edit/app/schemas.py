"""What requests and responses look like, for the OpenAPI description and the checks of their shape.

Sizes are limits of the service, so they are checked apart (:mod:`rv_edit.app.checks`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Side = Annotated[float, Field(allow_inf_nan=False)]
Crop = Annotated[list[Side], Field(min_length=4, max_length=4, description="left, top, right, bottom in pixels")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,63}$")]
"""Of an edit, and so the end of its address; clients take ``.`` and ``..`` there for other addresses."""
Count = Annotated[int, Field(ge=1)]
Picture = Annotated[str, Field(description="data:image/png;base64,…; an address where those are allowed")]


class ImageUrl(BaseModel):
    """A picture in a message."""

    model_config = ConfigDict(extra="allow")
    url: Picture


class Part(BaseModel):
    """A part of a message: ``text`` or ``image_url``."""

    model_config = ConfigDict(extra="allow")
    type: str
    text: str | None = None
    image_url: ImageUrl | None = None


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="allow")
    role: str
    content: str | list[Part] | None = None


class ChatRequest(BaseModel):
    """``POST /v1/chat/completions``. What is not named here is passed on upstream, and changes nothing otherwise."""

    model_config = ConfigDict(extra="allow")
    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Count | None = None
    stream: bool | None = None
    stop: Annotated[str | list[str] | None, Field(description="texts before which an answer ends")] = None
    choices: Annotated[list[str], Field(min_length=1, description="answer with one of these")] | None = None


class EditRequest(BaseModel):
    """``POST /v1/edits``."""

    model_config = ConfigDict(extra="forbid")
    image: Picture
    question: str
    answer: str
    reasoning: Annotated[list[str], Field(description="the facts that lead to the answer, one sentence each")]
    evidence: Annotated[
        dict[Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,3})$")], list[Crop]],
        Field(default_factory=dict, description="index of a fact -> the parts of the picture that show it"),
    ]
    id: Name | None = None
    author: Annotated[str, Field(max_length=200, description="who says so; with a key, its owner is the author")] = ""
    on_conflict: Literal["newest", "refuse"] = "newest"


class AmendRequest(BaseModel):
    """``PATCH /v1/edits/{edit_id}``."""

    model_config = ConfigDict(extra="forbid")
    fact: str
    evidence: Annotated[list[Crop], Field(default_factory=list)]
    author: Annotated[str, Field(max_length=200)] = ""


class ExplainRequest(BaseModel):
    """``POST /v1/explain``."""

    model_config = ConfigDict(extra="forbid")
    image: Picture
    question: str


class ErrorDetail(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """Every response that is no success."""

    error: ErrorDetail


class EditBody(BaseModel):
    """An edit."""

    id: str
    image_sha256: str
    question: str
    answer: str
    reasoning: list[str]
    evidence: dict[str, list[list[float]]]
    superseded_by: str | None
    author: str
    created: str


class MadeBody(EditBody):
    """An edit that is in force and on the disk."""

    version: int
    repeated: bool
    keys_added: int | None
    keys_merged: int | None
    seconds: float | None
    superseded: str | None
    notes: list[str]


class EditList(BaseModel):
    """A page of edits, oldest first."""

    object: Literal["list"]
    data: list[EditBody]
    total: int
    version: int


class UndoneBody(BaseModel):
    """An edit that is no longer in force."""

    id: str
    undone: bool
    version: int


class ExplainBody(BaseModel):
    """Why a question is answered as it is. ``threshold`` is null where there is no gate."""

    question: str
    accepted: bool
    reason: str
    threshold: float | None
    facts: list[str]
    neighbours: list[dict[str, Any]]
    version: int


class Health(BaseModel):
    """Whether the service works, and how much it holds."""

    status: Literal["ok"]
    version: int
    edits: int
    keys: int
    waiting: int
    journal_bytes: int
    journal_torn_bytes: int
