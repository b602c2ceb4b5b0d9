"""The examples that ship with the embedded models: the model errs about most of them, and their facts put it right."""

from __future__ import annotations

from data_modules.own_edits import load_own
from rv_edit import EditedVLM
from rv_edit.pocket import showcase
from rv_edit.pocket.dataset import load
from rv_edit.vlm import resolve_checkpoint

PLACE = "package://rv_edit.pocket/examples"


def test_they_are_what_the_world_asks() -> None:
    """Pictures and texts are those of the generator, byte for byte."""
    bundle = load_own(resolve_checkpoint(PLACE))
    assert len(bundle.records) == showcase.WRONG + showcase.RIGHT and not bundle.report.skipped
    pool = {record.id: record for record in load("aokvqa", questions=40).records}
    for one in bundle.records:
        made = pool[one.id]
        assert (one.question, one.choices, one.answer, one.reasoning) == (
            made.question, made.choices, made.answer, made.reasoning,
        )  # fmt: skip
        assert one.image.sha == made.image.sha


def test_the_model_errs_and_is_put_right() -> None:
    """To be made anew with the weights: ``python -m rv_edit.pocket.showcase <folder>``."""
    vlm = EditedVLM.from_pretrained("pocket_llava")
    records = load_own(resolve_checkpoint(PLACE)).records
    said = [str(vlm.ask(one.image, one.question, one.choices)) for one in records]
    wrong = [one for one, text in zip(records, said, strict=True) if text != one.answer]
    assert len(wrong) >= showcase.WRONG // 2 and len(wrong) < len(records)
    one = wrong[0]
    vlm.edit(one.image, one.question, one.answer, one.reasoning)
    asked = [one.question, *one.extras["rephrasings"]]
    assert [str(reply) for reply in vlm.ask(one.image, asked, one.choices)] == [one.answer] * len(asked)
