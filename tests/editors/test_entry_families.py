"""GRACE and BalancEdit on a tiny model of every family."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rv_edit.editors.entry_editor import EntryEditor
from rv_edit.editors.target_reading import prompt_key, read_target, target_ids, target_nll
from rv_edit.editors.unedited import Unedited
from rv_edit.vlm import VLM, load_vlm
from tests.editors.conftest import make_edit, question
from tests.editors.entry_makers import ASKING, MAKERS
from tests.vlm.conftest import FAMILIES, builder


@pytest.fixture(scope="module", params=FAMILIES)
def vlm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> VLM:
    return load_vlm(str(builder(request.param).build(tmp_path_factory.mktemp(request.param))))


@pytest.fixture(params=sorted(MAKERS))
def editor(request: pytest.FixtureRequest, vlm: VLM) -> EntryEditor:
    return MAKERS[request.param](vlm, steps=80)


def test_an_edit_takes_and_questions_beside_it_keep_their_scores(editor: EntryEditor, vlm: VLM) -> None:
    choices = ("red", "a small dog", "a blue lamp", "two")
    edit = replace(make_edit(0), choices=choices)
    (plain,) = Unedited(vlm, ASKING).answer([edit.as_question()])
    edit = replace(edit, answer=choices[int(np.argmin(plain.scores))])
    editor.edit(edit)
    asked = [edit.as_question(), question(0, image=0), question(1, image=0), *(question(index) for index in range(4))]
    before, after = Unedited(vlm, ASKING).answer(asked), editor.answer(asked)
    assert [answer.accepted for answer in after] == [True] + [False] * 6
    assert after[0].scores[edit.target] > before[0].scores[edit.target] + 0.5
    assert [answer.scores for answer in after[1:]] == [answer.scores for answer in before[1:]]
    for item, whole in zip(asked, after, strict=True):
        (single,) = editor.answer([item])
        assert single.accepted == whole.accepted and np.allclose(single.scores, whole.scores, atol=1e-4)
        assert np.allclose(single.distances, whole.distances, atol=1e-4)


def test_kept_states_give_the_models_own_likelihood(vlm: VLM) -> None:
    """Residual and inputs of the final block, put together again, are the stock model's forward pass."""
    edit = make_edit(0)
    feats, prompt = vlm.encode_images([edit.image.open()]), vlm.format_prompt(edit.question)
    for target in ("red", "a small blue dog"):
        ids = target_ids(vlm, target)
        read = read_target(vlm, feats, prompt, ids)
        rebuilt = target_nll(vlm, read.residual + vlm.final_mlp()(read.inputs), ids).item()
        assert rebuilt * len(ids) == pytest.approx(vlm.nll(feats, [prompt], [target]).item(), abs=1e-4)
        assert read.inputs.shape == read.residual.shape == (len(ids), vlm.text_config.hidden_size)
        for pooling in ("last", "mean"):
            assert (read.key(pooling) == prompt_key(vlm, feats, prompt, pooling)).all()
