"""Visual evidence of a fact: the parts of a picture that show it, given by the user or found (paper 3.2, C)."""

from rv_edit.evidence.crops import check_crops, cut
from rv_edit.evidence.patches import SHAPES, Patch, grid_patches
from rv_edit.evidence.select import Candidate, Evidence, EvidenceSelector, EvidenceSet, select_evidence

__all__ = [
    "SHAPES",
    "Candidate",
    "Evidence",
    "EvidenceSelector",
    "EvidenceSet",
    "Patch",
    "check_crops",
    "cut",
    "grid_patches",
    "select_evidence",
]
