"""Variants of a picture that mean the same, and the radius they give a key (paper A.5, C)."""

from rv_edit.augment.mosaic import ImageAugmenter
from rv_edit.augment.radius import KeyRadii, Paraphraser, RadiusEstimator
from rv_edit.augment.seeding import item_seed
from rv_edit.augment.tiles import TilePool

__all__ = ["ImageAugmenter", "KeyRadii", "Paraphraser", "RadiusEstimator", "TilePool", "item_seed"]
