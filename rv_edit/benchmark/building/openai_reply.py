"""What a service's reply holds: a text, a reason why none can be used, or something that no model wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from data_modules.text import clean_text
from rv_edit.benchmark.building.requests import TextReply, UnusableError

if TYPE_CHECKING:
    import httpx

CUT_OFF = "cut off at the most tokens allowed"
REFUSED = "refused by the service"
NO_ANSWER = "a reply without an answer"


def no_reply(response: httpx.Response) -> str | None:
    """What a status 200 holds that no model wrote and nobody paid for: a gateway's page, or its error."""
    if response.content[:64].lstrip().startswith(b"<"):
        return "a web page in place of an answer; check task.text.base_url"
    return f"an error in place of an answer: {message_of(response)}" if error_of(response) else None


def reply_of(response: httpx.Response) -> TextReply:
    """The text of a reply with status 200.

    Raises:
        UnusableError: not JSON, no choices, nothing in them, refused or cut off.
    """
    try:
        found = _json(response)
        choice = found["choices"][0]
        message = choice["message"]
        text, reason = message.get("content"), choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UnusableError(NO_ANSWER) from error
    if message.get("refusal") or reason == "content_filter":
        raise UnusableError(REFUSED)
    if reason == "length":
        raise UnusableError(CUT_OFF)
    if not isinstance(text, str) or not text.strip():
        raise UnusableError(NO_ANSWER)
    usage = found.get("usage") if isinstance(found.get("usage"), dict) else {}
    served = {name: found[name] for name in ("model", "system_fingerprint") if isinstance(found.get(name), str)}
    return TextReply(text, _whole(usage.get("prompt_tokens")), _whole(usage.get("completion_tokens")), served)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def error_of(response: httpx.Response) -> dict[str, Any]:
    """What a body says of an error; empty where it says nothing."""
    try:
        error = _json(response)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {"message": str(error)} if error else {}


def _json(response: httpx.Response) -> Any:
    """What a body holds.

    Raises:
        ValueError: no JSON, or deeper than this program counts.
    """
    try:
        return response.json()
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def message_of(response: httpx.Response) -> str:
    """The service's own words for an error, in one short line."""
    said = error_of(response).get("message")
    return clean_text(str(said or response.reason_phrase or "no reason given"))[:160]
