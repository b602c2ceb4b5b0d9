"""The half of a key that comes from the VLM: the pooled output of one of its layers, for picture–text pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image
from torch import Tensor

from data_modules.records import RecordError
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.vlm import VLM, LayerRef


def key_layer(vlm: VLM, block: str, layer: int) -> LayerRef:
    """The layer that keys are made of.

    Args:
        vlm: the model.
        block: ``vision | language``.
        layer: its place in that part, from 0.

    Raises:
        ConfigError: the model has no such layer.
    """
    found = [ref for ref in vlm.layer_refs() if ref.block == block]
    if not 0 <= layer < len(found):
        raise ConfigError(
            f"key space: layer={layer}, but {vlm.name} has {len(found)} {block} blocks, counted from 0; "
            "give model.key_space.layer=<one of these>, or choose it by task=topology"
        )
    return found[layer]


def hidden_states(
    vlm: VLM, ref: LayerRef, pooling: str, images: Sequence[Image.Image], texts: Sequence[str], batch_size: int = 16
) -> Tensor:
    """Pooled output of one layer for picture–text pairs, not scaled.

    A layer that the text does not reach costs one pass a distinct picture, which ends at that layer; any other one
    pass of the language model a pair, the text put as a question.

    Args:
        vlm: the model.
        ref: one of ``vlm.layer_refs()``; where the text does not reach it, a vision block.
        pooling: ``mean | last``.
        images: B RGB pictures; one object given several times passes the vision tower once.
        texts: B texts.
        batch_size: pictures a vision pass, pairs a language pass.

    Returns:
        (B, D) fp32.

    Raises:
        RecordError: a text is longer than the language model reads.
    """
    if ref.text_dependent:
        from rv_edit.vlm import PromptTooLongError, probe_layers

        try:
            return probe_layers(vlm, images, texts, [ref], (pooling,), batch_size)[ref][0]
        except PromptTooLongError as error:
            raise RecordError(f"key of {ref.path}: {error}") from error
    place: dict[int, int] = {}
    distinct: list[Image.Image] = []
    for image in images:
        if id(image) not in place:
            place[id(image)] = len(distinct)
            distinct.append(image)
    pooled = vlm.embed_vision(distinct, ref.index, pooling, batch_size)
    return pooled[[place[id(image)] for image in images]]
