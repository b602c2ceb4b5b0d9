"""The codebook of edits: keys, merging, rejection, retrieval, undo, files (paper 3.2)."""

from rv_edit.codebook.codebook import Codebook
from rv_edit.codebook.entries import Entry, InsertReport, Retrieval, Superseded

__all__ = ["Codebook", "Entry", "InsertReport", "Retrieval", "Superseded"]
