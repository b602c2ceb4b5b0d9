"""The topology-balanced dual embedding: pooled vision block ⊕ frozen sentence encoder (paper 3.3)."""

from rv_edit.embedding.calibrate import calibrate
from rv_edit.embedding.dual import DualEmbedding
from rv_edit.embedding.hidden import hidden_states, key_layer
from rv_edit.embedding.key_space import KeySpace
from rv_edit.embedding.shelf import MEASURED, check_measured, measured, shelf
from rv_edit.embedding.text import TextEncoder

__all__ = [
    "MEASURED",
    "DualEmbedding",
    "KeySpace",
    "TextEncoder",
    "calibrate",
    "check_measured",
    "hidden_states",
    "key_layer",
    "measured",
    "shelf",
]
