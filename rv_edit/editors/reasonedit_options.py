"""From the options of ``conf/editor/reasonedit.yaml`` to a :class:`ReasonEdit`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rv_edit.augment import ImageAugmenter, RadiusEstimator
from rv_edit.codebook import Codebook
from rv_edit.editors.option_kinds import check_kinds
from rv_edit.editors.reasonedit import ReasonEdit
from rv_edit.embedding import MEASURED, DualEmbedding, KeySpace, TextEncoder, calibrate, measured
from rv_edit.errors import ConfigError
from rv_edit.evidence import EvidenceSelector
from rv_edit.vlm import resolve_checkpoint

if TYPE_CHECKING:
    from rv_edit.editors.base import EditorContext

log = logging.getLogger(__name__)

KEY_SPACE_FILE = "key_space.json"
"""Written beside a codebook: what its keys are, for whoever goes on with it."""


def build(
    context: EditorContext,
    *,
    text_encoder: str,
    key_space: str | Mapping[str, Any],
    lam: float | None = None,
    codebook: Mapping[str, Any] | None = None,
    evidence: Mapping[str, Any] | None = None,
    augment: Mapping[str, Any] | None = None,
    **options: Any,
) -> ReasonEdit:
    """Build the editor for a run.

    Args:
        context: model, scoring, pictures of the data set, seed.
        text_encoder: folder, ``package://`` address or hub id of a sentence encoder.
        key_space: path of the artefact, ``measured`` (the one that ``task=topology`` left for this model), or
            ``layer``, ``lam``, ``pooling``, ``block`` and ``pairs`` to measure its norms here.
        lam: λ instead of the key space's, for a sweep over it; the layer and the norms stay.
        codebook: options of :class:`Codebook`.
        evidence: options of :class:`EvidenceSelector`.
        augment: ``variants``, ``tile_pool`` and the options of :class:`ImageAugmenter`.
        options: of :class:`ReasonEdit` itself.

    Raises:
        ConfigError: an option unknown or out of range.
    """
    drawing = dict(augment or {})
    variants = {"variants": drawing.pop("variants")} if "variants" in drawing else {}
    check_kinds("editor", options, ReasonEdit.__init__)
    check_kinds("editor.evidence", evidence or {}, EvidenceSelector)
    check_kinds("editor.augment", drawing, ImageAugmenter)
    check_kinds("editor.augment", variants, RadiusEstimator)
    encoder = TextEncoder(text_encoder, device=context.vlm.device)
    space, origin = _key_space(context, encoder, key_space)
    if lam is not None:
        space, origin = replace(space, lam=lam, curves={}), f"{origin}, λ by editor.lam"
    log.info("keys: %s layer %d, %s pooling, λ = %.3g (%s)", space.block, space.layer, space.pooling, space.lam, origin)
    embedding = DualEmbedding(context.vlm, encoder, space)
    tiles = drawing.pop("tile_pool", None) or [picture for picture, _ in context.sample]
    augmenter = ImageAugmenter(tile_pool=tiles, **drawing)
    selector = EvidenceSelector(context.vlm, **(evidence or {}))
    book = Codebook(embedding.dim, embedding.fingerprint, **(codebook or {}))
    radii = RadiusEstimator(embedding, augmenter, seed=context.seed, **variants)
    return ReasonEdit(embedding, book, radii, selector, asking=context.asking, **options)


def _key_space(context: EditorContext, encoder: TextEncoder, given: str | Mapping[str, Any]) -> tuple[KeySpace, str]:
    """The artefact, that of the codebook gone on with, or one measured on the data set's pictures; and which."""
    if given == MEASURED:
        space, place = measured(context.cache, context.vlm.name, context.vlm.fingerprint, encoder.fingerprint)
        return space, str(place)
    if isinstance(given, str):
        return KeySpace.load(resolve_checkpoint(given)), given
    kept = None if context.codebook is None else context.codebook / KEY_SPACE_FILE
    if kept is not None and kept.is_file():
        return KeySpace.load(kept), str(kept)
    if not {"layer", "lam"} <= set(given):
        raise ConfigError(f"model.key_space={dict(given)}; give the path of a key space, or layer, lam, pooling, pairs")
    check_kinds("model.key_space", given, _options)
    options = _options(**given)
    if options["pairs"] < 1:
        raise ConfigError(f"model.key_space.pairs={options['pairs']}: give at least 1")
    space = calibrate(
        context.vlm,
        encoder,
        context.sample[: options.pop("pairs")],
        **options,
        source="pictures and questions of the data set edited",
    )
    return space, "norms measured on the data set edited"


def _options(
    layer: int = 0, lam: float = 1.0, pooling: str = "mean", block: str = "vision", pairs: int = 256
) -> dict[str, Any]:
    """What a key space measured here is made of."""
    return {"layer": layer, "lam": float(lam), "pooling": pooling, "block": block, "pairs": pairs}
