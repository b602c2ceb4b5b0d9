"""The application: routes, guards, and how errors look."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

import rv_edit
from data_modules.records import RecordError
from rv_edit.app.chat import chat_routes
from rv_edit.app.editing import edit_routes
from rv_edit.app.errors import RequestError, error_body
from rv_edit.app.guards import Bounded, Guarded, Observed
from rv_edit.app.looking import looking_routes
from rv_edit.app.schemas import ErrorBody, Health
from rv_edit.app.service import Service
from rv_edit.app.static_files import page_routes
from rv_edit.app.upstream import UpstreamClient
from rv_edit.errors import ConfigError

log = logging.getLogger(__name__)

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": text}
    for status, text in {
        400: "The request cannot be served",
        401: "A key is missing or not known",
        403: "The service is not known by this name",
        404: "There is no such thing",
        409: "The id is another edit's",
        413: "A limit is passed",
        422: "The request is not of the described form",
        502: "The upstream server fails",
        503: "Too busy, or the disk cannot be written",
        504: "The upstream server is too slow",
    }.items()
}


def create_app(service: Service, upstream: UpstreamClient | None = None) -> FastAPI:
    """The ASGI application around a service, which is closed with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if upstream is not None:
            await upstream.close()
        service.close()

    app = FastAPI(
        title="rv_edit",
        version=rv_edit.__version__,
        description="Questions about pictures, answered by a model that people correct in words.",
        lifespan=lifespan,
        docs_url=None,  # those pages come from another network
        redoc_url=None,
        responses=REFUSALS,
        dependencies=[Depends(HTTPBearer(auto_error=False, description="needed where the service asks for a key"))],
    )
    app.include_router(chat_routes(service, upstream))
    app.include_router(looking_routes(service))  # first: edits begun with may have a slash in their id
    app.include_router(edit_routes(service))
    app.include_router(page_routes())

    @app.get("/healthz", tags=["service"])
    async def healthz() -> Health:
        """Whether the service works."""
        state, journal = service.vlm.state, service.keeper.journal
        return Health(
            status="ok",
            version=state.version,
            edits=len(state.ids),
            keys=state.editor.num_keys,
            waiting=service.batcher.waiting,
            journal_bytes=journal.size,
            journal_torn_bytes=0 if journal.torn is None else journal.torn.size,
        )

    @app.get("/metrics", tags=["service"], response_class=Response)
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(service.observer.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    _handle_errors(app)
    app.add_middleware(Bounded, most=service.settings.limits.body_bytes)
    app.add_middleware(Guarded, keys=service.keys, hosts=service.settings.hosts)
    app.add_middleware(Observed, observer=service.observer)
    return app


def _handle_errors(app: FastAPI) -> None:
    """Every error in one form, and none with what a request contained: it may be anything, of any size."""

    @app.exception_handler(RequestError)
    async def refused(_: Request, error: RequestError) -> JSONResponse:
        headers = {"Retry-After": "1"} if error.status == 503 else None
        return JSONResponse(error_body(str(error), error.status, error.code, error.param), error.status, headers)

    @app.exception_handler(RecordError)
    @app.exception_handler(ConfigError)
    async def unusable(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse(error_body(str(error), 400), 400)

    @app.exception_handler(RequestValidationError)
    async def misshapen(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])[:200]
        return JSONResponse(error_body(f"{place}: {first['msg']}", 422, str(first["type"]), place), 422)

    @app.exception_handler(HTTPException)
    async def general(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse(error_body(str(error.detail), error.status_code), error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> JSONResponse:
        log.error("a request failed", exc_info=error)
        return JSONResponse(error_body("the service failed; its log says how", 500), 500)
