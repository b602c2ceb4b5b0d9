"""``/v1/edits`` and ``/v1/explain``: making, reading, amending and undoing edits."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from data_modules.text import clean_text
from rv_edit.app.chat import finite
from rv_edit.app.checks import check_count, check_crops, check_facts, check_text
from rv_edit.app.keeper import Outcome
from rv_edit.app.schemas import (
    AmendRequest,
    EditBody,
    EditList,
    EditRequest,
    ExplainBody,
    ExplainRequest,
    MadeBody,
    UndoneBody,
)
from rv_edit.app.service import Service


def edit_routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["edits"])
    limits = service.settings.limits
    keeper = service.keeper

    @router.post("/v1/edits", status_code=201)
    async def create(body: EditRequest, request: Request, response: Response) -> MadeBody:
        """Make an edit. The answer comes when it is on the disk; the same edit again is acknowledged with 200."""
        question = check_text(body.question, limits.question_chars, "question")
        answer = check_text(body.answer, limits.answer_chars, "answer")
        facts, crops = check_facts(body.reasoning, limits), check_crops(body.evidence, limits)
        author = _author(request, body.author)
        image = await service.picture(body.image)
        make = partial(
            keeper.edit,
            image,
            question,
            answer,
            facts,
            crops,
            author=author,
            edit_id=body.id,
            on_conflict=body.on_conflict,
        )
        outcome = await service.change("edit", make)
        response.status_code = 200 if outcome.repeated else 201
        return _made(outcome, service.vlm.state.version)

    @router.get("/v1/edits")
    async def listing(
        limit: Annotated[int, Query(ge=1, le=1000)] = 100, offset: Annotated[int, Query(ge=0, le=10**9)] = 0
    ) -> EditList:
        """Edits, oldest first, a page at a time."""
        state = service.vlm.state
        page = [EditBody(**state.made(edit_id).as_json()) for edit_id in state.ids[offset : offset + limit]]
        return EditList(object="list", data=page, total=len(state.ids), version=state.version)

    @router.get("/v1/edits/{edit_id:path}")
    async def get(edit_id: str) -> EditBody:
        """One edit."""
        return EditBody(**keeper.get(edit_id).as_json())

    @router.patch("/v1/edits/{edit_id:path}")
    async def amend(edit_id: str, body: AmendRequest, request: Request) -> MadeBody:
        """Add a fact to an edit, which is the newest one then."""
        keeper.get(edit_id)
        fact = check_text(body.fact, limits.fact_chars, "fact")
        check_count(body.evidence, limits.crops, "evidence")
        crops = [(left, top, right, bottom) for left, top, right, bottom in body.evidence]
        author = _author(request, body.author)
        outcome = await service.change("amend", partial(keeper.amend, edit_id, fact, crops, author, limits.facts))
        return _made(outcome, service.vlm.state.version)

    @router.delete("/v1/edits/{edit_id:path}")
    async def undo(edit_id: str, request: Request, author: Annotated[str, Query(max_length=200)] = "") -> UndoneBody:
        """Take an edit back; the answer comes when that, and who did it, is on the disk."""
        keeper.get(edit_id)
        await service.change("undo", partial(keeper.undo, edit_id, _author(request, author)))
        return UndoneBody(id=edit_id, undone=True, version=service.vlm.state.version)

    @router.post("/v1/explain")
    async def explain(body: ExplainRequest) -> ExplainBody:
        """What is retrieved for a question, and why it is used or not."""
        question = check_text(body.question, limits.question_chars, "question")
        told, version = await service.ask(await service.picture(body.image), question)
        return ExplainBody(
            question=told.question,
            accepted=told.accepted,
            reason=told.reason,
            threshold=finite(told.threshold),
            facts=list(told.facts),
            neighbours=[plain(asdict(neighbour)) for neighbour in told.neighbours],
            version=version,
        )

    return router


def _author(request: Request, claimed: str) -> str:
    """The owner of the key; only where none is asked for, whoever the request says."""
    owner = getattr(request.state, "owner", None)
    return str(owner) if owner is not None else clean_text(claimed)


def _made(outcome: Outcome, version: int) -> MadeBody:
    receipt = outcome.receipt
    return MadeBody(
        **outcome.made.as_json(),
        version=version,
        repeated=outcome.repeated,
        keys_added=None if receipt is None else receipt.keys_added,
        keys_merged=None if receipt is None else receipt.keys_merged,
        seconds=None if receipt is None else receipt.seconds,
        superseded=None if receipt is None else receipt.superseded,
        notes=[] if receipt is None else list(receipt.notes),
    )


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """A record's fields as the schemas take them: tuples as lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
