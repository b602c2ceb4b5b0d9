"""Whether a pocket VLM keeps its answers when statements stand before them that have nothing to do with the question.

Measured with what retrieval really returns: a codebook of other questions' edits, the five nearest keys, no gate.
"""

from __future__ import annotations

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from rv_edit.benchmark import draw_locality, mine
from rv_edit.cli import conf_dir
from rv_edit.editors.answering import Asking, is_right
from rv_edit.editors.base import Editor, EditorContext
from rv_edit.pocket.dataset import load
from rv_edit.vlm import VLM

EDITS = 100
PER_EDIT = 12
"""Records asked for each edit wanted: errors are 15 to 45 % of them."""


def strays_unchanged(vlm: VLM, model: str, dataset: str, questions: int, edits: int = EDITS) -> float:
    """Share of unrelated questions, answered right before, that are answered right after the edits.

    Args:
        vlm: the model.
        model: its folder, where ``key_space.json`` lies.
        dataset: ``aokvqa`` or ``fvqa``.
        questions: how many unrelated ones, drawn at random; fewer where fewer are answered right.
        edits: errors corrected before.
    """
    records = {one.id: one for one in load(dataset, questions=max(PER_EDIT * edits, 2 * questions)).records}
    mined = mine(vlm, list(records.values()))
    editor = _editor(vlm, model)
    stream = [records[name].as_edit() for name in mined.errors[:edits]]
    for edit in stream:
        editor.edit(edit)
    right = [records[name] for name in mined.correct]
    asked = draw_locality(stream, right, min(questions, len(right)), similar_share=0.0).questions
    answers = editor.answer(asked)
    return sum(map(is_right, asked, answers)) / len(asked)


def _editor(vlm: VLM, model: str) -> Editor:
    """ReasonEdit as shipped, but for its gate."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        options = ["editor.codebook.gate=none", f"model.key_space={model}/key_space.json"]
        settings = OmegaConf.to_container(compose("config", options).editor, resolve=True)
    assert isinstance(settings, dict)
    settings.pop("name")
    editor: Editor = instantiate(settings, EditorContext(vlm=vlm, asking=Asking()), _convert_="all")
    return editor
