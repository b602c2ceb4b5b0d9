"""For people who correct a model: :class:`EditedVLM`, a model with the edits made to it.

vlm = EditedVLM.from_pretrained("<hub id>", sample=pictures_with_questions)
vlm.ask("photo.jpg", "What is this animal known for?")
vlm.edit("photo.jpg", "What is this animal known for?", "purring", ["The animal is a cat.", "Cats purr."])
vlm.save_pretrained("my_edits")
"""

from rv_edit.api.conflicts import Contradiction
from rv_edit.api.edited import EditedVLM
from rv_edit.api.explaining import Explanation, Neighbour
from rv_edit.api.merging import MergeReport
from rv_edit.api.records import MadeEdit, Reply
from rv_edit.api.state import Change
from rv_edit.api.stored import StoredEdit

__all__ = [
    "Change",
    "Contradiction",
    "EditedVLM",
    "Explanation",
    "MadeEdit",
    "MergeReport",
    "Neighbour",
    "Reply",
    "StoredEdit",
]
