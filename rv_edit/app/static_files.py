"""The page itself: a handful of files beside this module, read once, sent with headers that let nothing else in."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from rv_edit.app.errors import RequestError
from rv_edit.app.guards import PAGE

FOLDER = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
HEADERS = {
    # Scripts and styles of this service alone, none within the page: markup in a fact could do nothing even if shown.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def page_routes() -> APIRouter:
    """``/`` and ``/page/…``; not part of the described interface."""
    router = APIRouter(include_in_schema=False)
    kept = {path.name: (path.read_bytes(), TYPES[path.suffix]) for path in FOLDER.iterdir() if path.suffix in TYPES}

    def send(name: str) -> Response:
        if name not in kept:
            raise RequestError("there is no such file of the page", 404, "not_found")
        data, kind = kept[name]
        return Response(data, media_type=kind, headers=HEADERS)

    @router.get("/")
    async def page() -> Response:
        return send("index.html")

    @router.get(PAGE + "{name}")
    async def file(name: str) -> Response:
        return send(name)

    return router
