"""What the page asks besides questions and edits: examples, what shows a fact, unknown words, the map."""

from __future__ import annotations

import base64
from dataclasses import asdict

from fastapi import APIRouter, Request
from fastapi.responses import Response

from rv_edit.app.checks import check_count, check_facts, check_text
from rv_edit.app.editing import plain
from rv_edit.app.errors import RequestError
from rv_edit.app.page_schemas import (
    About,
    EvidenceBody,
    EvidenceRequest,
    ExampleBody,
    ExampleList,
    FactEvidence,
    FoundCrop,
    MapBody,
    MapRequest,
    PlacedPoint,
    UnknownWord,
    WordsBody,
    WordsRequest,
)
from rv_edit.app.service import Service
from rv_edit.evidence.select import Evidence

MAGIC = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"RIFF": "image/webp",
}
"""How the files of the allowed formats begin."""
KEPT_PICTURE = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff",
                "Cache-Control": "private, max-age=3600"}  # fmt: skip


def looking_routes(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["page"])
    settings = service.settings
    limits = settings.limits

    @router.get("/v1/about")
    async def about(request: Request) -> About:
        """What a page must know: the model's name, who asks, what is allowed."""
        upstream = settings.upstream
        return About(
            model=(upstream.model or service.name) if upstream.url is not None else service.name,
            upstream=upstream.url is not None,
            owner=str(getattr(request.state, "owner", None) or ""),
            limits={name: value for name, value in asdict(limits).items() if isinstance(value, int)},
            formats=list(limits.image_formats),
            frames=list(settings.frames),
            version=service.vlm.state.version,
            edits=len(service.vlm.state.ids),
        )

    @router.get("/v1/examples")
    async def examples() -> ExampleList:
        """Pictures with questions to try."""
        return ExampleList(
            object="list",
            data=[
                ExampleBody(
                    id=one.id,
                    image=_data_url(one.image.data or b""),
                    question=one.question,
                    choices=list(one.choices),
                    answer=one.answer,
                    reasoning=list(one.reasoning),
                    rephrasings=list(one.rephrasings),
                )
                for one in service.examples
            ],
        )

    @router.post("/v1/evidence")
    async def evidence(body: EvidenceRequest) -> EvidenceBody:
        """Which parts of a picture show each fact, as an edit without crops would choose them; nothing is stored."""
        facts = check_facts(body.reasoning, limits)
        image = await service.picture(body.image)
        found = await service.find_evidence(image, facts)
        width, height = image.image.size
        return EvidenceBody(width=width, height=height, facts=[_chosen(one) for one in found])

    @router.post("/v1/words")
    async def words(body: WordsRequest) -> WordsBody:
        """Words that the model here was not taught as words, and known ones that are written alike."""
        check_count(body.texts, limits.facts + limits.choices + 8, "texts")
        texts = [check_text(text, limits.question_chars, "texts") for text in body.texts if text.strip()]
        unknown = await service.unknown_words(texts)
        return WordsBody(unknown=[UnknownWord(word=word, near=near) for word, near in unknown])

    @router.post("/v1/map")
    async def map_of_keys(body: MapRequest) -> MapBody:
        """The codebook's keys on a plane, and where a question lies among them."""
        if (body.image is None) != (body.question is None):
            raise RequestError("map: give a picture and a question, or neither", param="question")
        asked = None
        drawn = await service.map_of_keys()
        if body.image is not None and body.question is not None and drawn.points:
            question = check_text(body.question, limits.question_chars, "question")
            key = await service.query_key(await service.picture(body.image), question)
            if key is not None:
                x, y = drawn.plane.place(key[None])[0].tolist()
                asked = [x, y]
        return MapBody(
            points=[PlacedPoint(**plain(asdict(one))) for one in drawn.points],
            left_out=drawn.left_out,
            shares=list(drawn.plane.shares),
            asked=asked,
            version=drawn.version,
        )

    @router.get("/v1/edits/{edit_id:path}/picture", response_class=Response)
    async def picture(edit_id: str) -> Response:
        """The picture that an edit was made on, as it was sent."""
        kept = service.keeper.pictures.find(service.keeper.get(edit_id).image)
        if kept is None or kept.path is None:
            raise RequestError("the picture of this edit is not kept here", 404, "picture_not_found", "edit_id")
        path = kept.path

        def read() -> bytes:
            with open(path, "rb") as file:
                return file.read()

        data = await service.look(read)
        return Response(data, media_type=_kind(data), headers=KEPT_PICTURE)

    return router


def _data_url(data: bytes) -> str:
    return f"data:{_kind(data)};base64,{base64.b64encode(data).decode()}"


def _kind(data: bytes) -> str:
    return next((kind for magic, kind in MAGIC.items() if data.startswith(magic)), "application/octet-stream")


def _chosen(found: Evidence) -> FactEvidence:
    known = {candidate.patch.box: candidate for candidate in found.candidates}
    return FactEvidence(
        fact=found.fact,
        crops=[FoundCrop(box=list(box), p_yes=known[box].p_yes, relevance=known[box].relevance) for box in found.boxes],
    )
