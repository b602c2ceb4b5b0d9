"""Requests against the service's limits, and what a conversation asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_modules.records import Box
from data_modules.text import clean_text
from rv_edit.app.errors import RequestError
from rv_edit.app.schemas import ChatRequest, Message
from rv_edit.app.settings import Limits


@dataclass(frozen=True)
class Asked:
    """What a conversation asks.

    Attributes:
        question: the text of its last message.
        image: the newest picture as given; ``None``: there is none.
        message: place of that last message, ``part`` of its first text part (``None``: its content is one string).
    """

    question: str
    image: str | None
    message: int
    part: int | None


def check_text(text: str, most: int, what: str) -> str:
    """Text as it is asked and stored: cleaned, neither blank nor too long.

    Raises:
        RequestError: it is one of the two.
    """
    if len(text) > most:
        raise RequestError(f"{what}: {len(text)} characters, at most {most}", 413, "too_long", what)
    cleaned = clean_text(text)
    if not cleaned:
        raise RequestError(f"{what}: blank; give some text", param=what)
    return cleaned


def check_count(items: Sequence[object] | Mapping[str, object], most: int, what: str) -> None:
    """Raises RequestError where there are more than ``most``."""
    if len(items) > most:
        raise RequestError(f"{what}: {len(items)}, at most {most}", 413, "too_many", what)


def check_facts(reasoning: Sequence[str], limits: Limits) -> tuple[str, ...]:
    """The facts of an edit.

    Raises:
        RequestError: too many, too long, or a blank one.
    """
    check_count(reasoning, limits.facts, "reasoning")
    return tuple(check_text(fact, limits.fact_chars, f"reasoning[{at}]") for at, fact in enumerate(reasoning))


def check_crops(evidence: Mapping[str, Sequence[Sequence[float]]], limits: Limits) -> dict[int, tuple[Box, ...]]:
    """The crops of an edit; whether they lie inside the picture is checked when it is made.

    Raises:
        RequestError: too many.
    """
    check_count(evidence, limits.facts, "evidence")
    found: dict[int, tuple[Box, ...]] = {}
    for fact, crops in evidence.items():
        check_count(crops, limits.crops, f"evidence[{fact}]")
        found[int(fact)] = tuple((left, top, right, bottom) for left, top, right, bottom in crops)
    return found


def check_choices(choices: Sequence[str] | None, limits: Limits) -> tuple[str, ...]:
    """What a question is to be answered with; none: anything.

    Raises:
        RequestError: too many, too long, or a blank one.
    """
    check_count(choices or (), limits.choices, "choices")
    return tuple(check_text(choice, limits.answer_chars, "choices") for choice in choices or ())


def read_conversation(request: ChatRequest, limits: Limits) -> Asked:
    """The question of a conversation: the text of its last message, about the newest picture.

    Raises:
        RequestError: the last message is not the user's, has no text, or a limit is passed.
    """
    check_count(request.messages, limits.messages, "messages")
    last = len(request.messages) - 1
    message = request.messages[last]
    if message.role != "user":
        raise RequestError("messages: the last one must be the user's", param="messages")
    if isinstance(message.content, str) or message.content is None:
        text, part = message.content or "", None
    else:
        texts = [(at, item.text or "") for at, item in enumerate(message.content) if item.type == "text"]
        text, part = " ".join(found for _, found in texts), texts[0][0] if texts else None
    images = [url for one in reversed(request.messages) for url in reversed(_images(one))]
    question = check_text(text, limits.question_chars, "messages")
    return Asked(question, images[0] if images else None, last, part)


def check_single(request: ChatRequest) -> None:
    """Check that a conversation is one question about one picture, all that the model here reads.

    Raises:
        RequestError: it is more. Leaving the rest out would answer something else than was asked.
    """
    if len(request.messages) != 1:
        raise RequestError(
            "messages: this model reads one question about one picture; send a single user message", param="messages"
        )
    (message,) = request.messages
    known = isinstance(message.content, str) or all(
        item.type in ("text", "image_url") for item in message.content or ()
    )
    if not known:
        raise RequestError("messages: parts are text and image_url", param="messages")
    if len(_images(message)) != 1:
        raise RequestError("messages: give one picture, as an image_url part", param="messages")


def _images(message: Message) -> list[str]:
    if message.content is None or isinstance(message.content, str):
        return []
    return [item.image_url.url for item in message.content if item.type == "image_url" and item.image_url is not None]
