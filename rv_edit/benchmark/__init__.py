"""What turns records into an experiment: mining a VLM's errors, locality questions, chains of error."""

from rv_edit.benchmark.error_chain import Chain, error_chains, ordered_subsets
from rv_edit.benchmark.locality import LocSet, draw_locality
from rv_edit.benchmark.mining import Mined, Scored, left_to_mine, mine, score_questions

__all__ = [
    "Chain",
    "LocSet",
    "Mined",
    "Scored",
    "draw_locality",
    "error_chains",
    "left_to_mine",
    "mine",
    "ordered_subsets",
    "score_questions",
]
