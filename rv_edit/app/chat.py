"""``/v1/chat/completions`` and ``/v1/models``, as OpenAI's clients know them."""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse

from rv_edit.api.records import Reply
from rv_edit.app.checks import check_choices, check_single, read_conversation
from rv_edit.app.errors import RequestError
from rv_edit.app.schemas import ChatRequest
from rv_edit.app.service import Service
from rv_edit.app.upstream import UpstreamClient, with_facts


def chat_routes(service: Service, upstream: UpstreamClient | None) -> APIRouter:
    """The routes, answered by the model here or by ``upstream``."""
    router = APIRouter(tags=["chat"])
    limits = service.settings.limits

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        """The one model that answers."""
        return {
            "object": "list",
            "data": [{"id": service.name, "object": "model", "created": 0, "owned_by": "rv_edit"}],
        }

    @router.post("/v1/chat/completions", response_model=None, responses={200: {"description": "A chat completion"}})
    async def complete(request: ChatRequest) -> Response:
        """Answer a question about a picture with the edits in force; ``rv_edit`` in the answer says which were used."""
        if upstream is not None:
            return await _forward(service, upstream, request)
        if request.model != service.name:
            raise RequestError(f"model: the one here is {service.name!r}", 404, "model_not_found", "model")
        if (request.n or 1) != 1:
            raise RequestError("n: the model answers greedily, so there is one answer; leave it out", param="n")
        check_single(request)
        asked = read_conversation(request, limits)
        choices = check_choices(request.choices, limits)
        assert asked.image is not None
        image = await service.picture(asked.image)
        wanted = request.max_completion_tokens or request.max_tokens or limits.max_new_tokens
        tokens = min(wanted, limits.max_new_tokens)
        reply, version = await service.ask(image, asked.question, choices, tokens)
        about = _about(reply.facts, reply.distances, reply.accepted, reply.threshold, version)
        if reply.scores:
            about["scores"] = list(reply.scores)
        text, why = _ended(reply, request.stop)
        if request.stream:
            return StreamingResponse(_events(service.name, text, why, about), media_type="text/event-stream")
        return JSONResponse(_completion(service.name, text, why, about))

    return router


async def _forward(service: Service, upstream: UpstreamClient, request: ChatRequest) -> Response:
    """Retrieve here, let the other server answer. Without a picture nothing is known here, and all is passed on."""
    asked = read_conversation(request, service.settings.limits)
    if request.choices:
        raise RequestError("choices: the upstream model writes its answers; leave them out", param="choices")
    about: dict[str, Any] | None = None
    facts: tuple[str, ...] = ()
    if asked.image is not None:
        told, version = await service.ask(await service.picture(asked.image), asked.question)
        facts = told.facts
        distances = tuple(neighbour.distance for neighbour in told.neighbours)
        about = _about(facts, distances, told.accepted, told.threshold, version)
    separator = service.vlm.state.editor.vlm.prompts.style.fact_separator
    body = with_facts(request.model_dump(exclude_unset=True), asked, facts, separator)
    if request.stream:
        return StreamingResponse(await upstream.stream(body), media_type="text/event-stream")
    status, answer = await upstream.complete(body)
    if status == 200 and about is not None:
        answer["rv_edit"] = about
    return JSONResponse(answer, status)


def finite(number: float | None) -> float | None:
    """A number as JSON can carry it: no gate is no threshold."""
    return number if number is not None and math.isfinite(number) else None


def _about(
    facts: tuple[str, ...], distances: tuple[float, ...], accepted: bool | None, threshold: float | None, version: int
) -> dict[str, Any]:
    return {
        "facts": list(facts),
        "distances": list(distances),
        "accepted": bool(accepted),
        "threshold": finite(threshold),
        "version": version,
    }


def _ended(reply: Reply, stop: str | list[str] | None) -> tuple[str, str]:
    """The text up to where the client wants it to stop, and why it ends, in OpenAI's words."""
    marks = [stop] if isinstance(stop, str) else stop or []
    found = [at for mark in marks if mark and not reply.choices and (at := reply.text.find(mark)) >= 0]
    if found:
        return reply.text[: min(found)], "stop"
    return reply.text, "stop" if reply.ended else "length"


def _completion(model: str, text: str, why: str, about: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        **_head(model, "chat.completion"),
        "choices": [{"index": 0, "message": message, "finish_reason": why, "logprobs": None}],
        "rv_edit": about,
    }


def _events(model: str, text: str, why: str, about: dict[str, Any]) -> Iterator[str]:
    """The whole answer as one event, since it is generated in batches, then its end."""
    head = _head(model, "chat.completion.chunk")
    first = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": why}
    for event in ({**head, "choices": [first], "rv_edit": about}, {**head, "choices": [last]}):
        yield f"data: {json.dumps(event)}\n\n"
    yield "data: [DONE]\n\n"


def _head(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}
