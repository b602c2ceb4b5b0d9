"""How mining and chains of error put many questions to a VLM: pictures decoded once, long prompts apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from data_modules.records import ImageRef, RecordError
from rv_edit.benchmark.cache import Row, software
from rv_edit.vlm.prompts import PromptTooLongError

if TYPE_CHECKING:
    from PIL import Image

    from rv_edit.vlm import VLM


def model_context(vlm: VLM) -> dict[str, Any]:
    """What a VLM's answers depend on besides picture, prompt and candidates: part of every cache key."""
    return {
        "model": vlm.fingerprint,
        "preprocessing": vlm.preprocessing,
        "style": asdict(vlm.prompts.style),
        "device": vlm.device.type,
        **software(),
    }


def ask_each(ask: Callable[[Sequence[int]], list[Row]], part: Sequence[int]) -> list[Row]:
    """Ask a batch; if a prompt in it is too long, ask one by one, so that only the long ones go without a row.

    Returns:
        A row each; ``{"unusable": reason}`` for a prompt that is longer than the model's positions.
    """
    try:
        return ask(part)
    except PromptTooLongError as error:
        if len(part) == 1:
            return [{"unusable": str(error)}]
    return [ask_each(ask, [place])[0] for place in part]


def decoded_batches(
    images: Sequence[ImageRef], size: int, failed: dict[int, Row]
) -> Iterator[tuple[list[int], list[Image.Image], list[int]]]:
    """Decode ``size`` distinct pictures at a time.

    Yields:
        The places of ``images`` with them, the pictures, and for each place its picture's row. Places whose
        picture cannot be decoded get ``{"unusable": reason}`` in ``failed`` instead.
    """
    by_image: dict[str, list[int]] = {}
    for place, image in enumerate(images):
        by_image.setdefault(image.sha, []).append(place)
    groups = list(by_image.values())
    for start in range(0, len(groups), size):
        places: list[int] = []
        decoded: list[Image.Image] = []
        rows: list[int] = []
        for group in groups[start : start + size]:
            try:
                decoded.append(images[group[0]].open())
            except RecordError as error:
                failed.update({place: {"unusable": str(error)} for place in group})
                continue
            places += group
            rows += [len(decoded) - 1] * len(group)
        if decoded:
            yield places, decoded, rows
