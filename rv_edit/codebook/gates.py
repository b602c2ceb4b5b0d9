"""Rejection: how near the nearest key must be for a query to be answered from the codebook (paper 3.2).

All thresholds are functions of what the codebook holds, computed when first needed after a change.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from rv_edit.codebook.hubness import corrected_percentile, hub_scales
from rv_edit.codebook.maths import passing_distance
from rv_edit.codebook.search import nearest
from rv_edit.codebook.settings import Retrieving
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.codebook.codebook import Codebook


class Gatekeeper:
    """Computes thresholds and hubness scales once per change of the codebook; :meth:`forget` marks a change."""

    def __init__(self, settings: Retrieving) -> None:
        self.settings = settings
        self._threshold: float | None = None
        self._scales: Tensor | None = None

    def forget(self) -> None:
        """Keys or calibration changed."""
        self._threshold = self._scales = None

    def scales(self, book: Codebook) -> Tensor | None:
        """What distances to each key are divided by, (n,); ``None`` without hubness correction."""
        if not self.settings.hubness:
            return None
        if self._scales is None or self._scales.device != book.keys.device:
            self._scales = hub_scales(book.keys, self.settings.hub_neighbours)
        return self._scales

    def thresholds(self, book: Codebook, nearest_key: Tensor) -> list[float]:
        """The largest accepted distance for each query, given its nearest key (B,). Needs a key."""
        common = self.threshold(book)
        if common is not None:
            return [common] * len(nearest_key)
        # Few edits: the percentile says nothing, a key's own radius does.
        reach = self.settings.radius_factor * book.radii[nearest_key]
        scales = self.scales(book)
        return [float(value) for value in (reach if scales is None else reach / scales[nearest_key])]

    def threshold(self, book: Codebook) -> float | None:
        """The threshold all queries share; ``None`` where each nearest key sets its own.

        Raises:
            ConfigError: ``gate=calibrated`` without calibration.
        """
        gate = self.settings.gate
        if gate == "none":
            return math.inf
        if gate == "calibrated" and not len(book.calibration):
            raise ConfigError("codebook: gate=calibrated needs calibrate() with unrelated queries first")
        if not len(book) or gate == "percentile" and (len(book.edit_ids) < self.settings.min_edits or len(book) < 2):
            return None
        if self._threshold is None:
            self._threshold = self._calibrated(book) if gate == "calibrated" else self._percentile(book)
        return self._threshold

    def _percentile(self, book: Codebook) -> float:
        scales, percent = self.scales(book), self.settings.percentile
        if scales is None:
            return book.pairs.percentile(percent)
        return corrected_percentile(book.keys, scales, percent, self.settings.exact_keys)

    def _calibrated(self, book: Codebook) -> float:
        queries = book.calibration.to(book.keys.device)
        near, _ = nearest(queries, book.keys, 1, self.scales(book))
        return passing_distance(near[:, 0].double().cpu().numpy(), book.calibration_share)
