"""What the page's own requests and responses look like; see :mod:`rv_edit.app.schemas`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from rv_edit.app.schemas import Picture


class About(BaseModel):
    """What there is. ``owner`` is whose key was sent; ``frames`` put a question in other words."""

    model: str
    upstream: bool
    owner: str
    limits: dict[str, int]
    formats: list[str]
    frames: list[str]
    version: int
    edits: int


class ExampleBody(BaseModel):
    """A question to try, with what is true of it."""

    id: str
    image: Picture
    question: str
    choices: list[str]
    answer: str
    reasoning: list[str]
    rephrasings: list[str]


class ExampleList(BaseModel):
    """Questions to try."""

    object: Literal["list"]
    data: list[ExampleBody]


class EvidenceRequest(BaseModel):
    """``POST /v1/evidence``."""

    model_config = ConfigDict(extra="forbid")
    image: Picture
    reasoning: Annotated[list[str], Field(min_length=1, description="facts, one sentence each")]


class FoundCrop(BaseModel):
    """A part of the picture that the model says shows a fact, and how sure it is."""

    box: list[float]
    p_yes: float
    relevance: float | None


class FactEvidence(BaseModel):
    """What shows a fact; no crop: the whole picture will stand for it."""

    fact: str
    crops: list[FoundCrop]


class EvidenceBody(BaseModel):
    """What shows each fact, in pixels of a picture of this size."""

    width: int
    height: int
    facts: list[FactEvidence]


class WordsRequest(BaseModel):
    """``POST /v1/words``."""

    model_config = ConfigDict(extra="forbid")
    texts: list[str]


class UnknownWord(BaseModel):
    """A word that the model spells, and known ones that are written alike."""

    word: str
    near: list[str]


class WordsBody(BaseModel):
    """Words that the model does not know."""

    unknown: list[UnknownWord]


class MapRequest(BaseModel):
    """``POST /v1/map``; with a picture and a question their place is told too."""

    model_config = ConfigDict(extra="forbid")
    image: Picture | None = None
    question: str | None = None


class PlacedPoint(BaseModel):
    """A key on the map."""

    key: str
    x: float
    y: float
    facts: list[str]
    kinds: list[str]
    edits: list[str]


class MapBody(BaseModel):
    """Keys on the plane along which they differ most; ``shares`` of their variance lie along its axes."""

    points: list[PlacedPoint]
    left_out: int
    shares: list[float]
    asked: list[float] | None
    version: int
