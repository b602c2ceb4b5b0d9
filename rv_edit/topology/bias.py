"""Unimodal biases: whether a space keeps pictures, or texts, together at the other's cost (paper 3.3, A.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from rv_edit.topology.network import check_embeddings


def vision_bias(anchors: Tensor, other_images: Tensor, other_texts: Tensor, scale: Tensor | None = None) -> Tensor:
    """E[mean d(pair, (similar picture, same text)) − mean d(pair, (same picture, other text))] (paper A.2).

    Positive: another text on the picture is closer than the same text on a picture that means the same.

    Args:
        anchors: (..., M, D) pairs.
        other_images: (..., M, A, D) each anchor's text with A augmented versions of its picture.
        other_texts: (..., M, K, D) each anchor's picture with K mismatching texts.
        scale: (...,) what distances are divided by, such as the network's mean distance; 0 gives a bias of 0.

    Returns:
        (...,) fp64, the mean over the anchors.

    Raises:
        ValueError: the shapes do not fit, nothing to average over, or numbers that are not finite.
    """
    return _bias(anchors, other_images, other_texts, scale)


def language_bias(anchors: Tensor, other_texts: Tensor, other_images: Tensor, scale: Tensor | None = None) -> Tensor:
    """E[mean d(pair, (same picture, similar text)) − mean d(pair, (other picture, same text))] (paper A.2).

    Positive: another picture with the text is closer than the same picture with a text that means the same.

    Args:
        anchors: (..., M, D) pairs.
        other_texts: (..., M, A, D) each anchor's picture with A rewordings of its text.
        other_images: (..., M, K, D) each anchor's text with K mismatching pictures.
        scale: as in :func:`vision_bias`.

    Returns:
        (...,) fp64, the mean over the anchors.

    Raises:
        ValueError: as :func:`vision_bias`.
    """
    return _bias(anchors, other_texts, other_images, scale)


def _bias(anchors: Tensor, similar: Tensor, mismatched: Tensor, scale: Tensor | None) -> Tensor:
    for name, around in (("similar", similar), ("mismatched", mismatched)):
        fits = around.ndim == anchors.ndim + 1 and around.shape[:-2] == anchors.shape[:-1]
        if not fits or around.shape[-1] != anchors.shape[-1] or around.shape[-2] < 1:
            shapes = f"anchors {tuple(anchors.shape)}, {name} pairs {tuple(around.shape)}"
            raise ValueError(f"{shapes}: give (..., M, D) and (..., M, K, D), K ≥ 1")
        check_embeddings(around, dims=3)
    check_embeddings(anchors)
    centre = anchors.double().unsqueeze(-2)
    far, near = ((around.double() - centre).norm(dim=-1).mean(dim=(-2, -1)) for around in (similar, mismatched))
    bias = far - near
    if scale is None:
        return bias
    scale = scale.double()
    return torch.where(scale > 0, bias / torch.where(scale > 0, scale, 1.0), 0.0)
