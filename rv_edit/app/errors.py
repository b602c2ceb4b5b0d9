"""Requests that cannot be served, as clients of OpenAI's interface expect to hear of them."""

from __future__ import annotations

from typing import Any


class RequestError(ValueError):
    """A request that cannot be served.

    Args:
        message: one line: what is wrong, what to do.
        status: of the response.
        code: for programs; empty: none.
        param: the part of the request that it is about.
    """

    def __init__(self, message: str, status: int = 400, code: str = "", param: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


def error_body(message: str, status: int, code: str = "", param: str = "") -> dict[str, Any]:
    """The body of a response about an error. Text that JSON cannot carry becomes ``?``."""
    kind = "server_error" if status >= 500 else "authentication_error" if status == 401 else "invalid_request_error"
    text = " ".join(message.encode("utf-8", "replace").decode("utf-8").split())
    return {"error": {"message": text, "type": kind, "param": param or None, "code": code or None}}
