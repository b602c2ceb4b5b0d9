"""Chains of error against a naive forward per statement."""

from __future__ import annotations

from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.qa_record import QARecord
from data_modules.records import Edit, ImageRef
from rv_edit.benchmark import error_chains, ordered_subsets
from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM
from tests.vlm.tiny_llava import naive_logits

OPTIONS: dict[str, Any] = {"batch_size": 5, "chunk_size": 3}


@given(st.integers(0, 6))
def test_subsets(n: int) -> None:
    subsets = list(ordered_subsets(n))
    assert len(subsets) == len(set(subsets)) == 2**n - 1
    powerset = chain.from_iterable(combinations(range(n), size) for size in range(1, n + 1))
    assert set(subsets) == set(powerset)
    assert all(list(subset) == sorted(subset) for subset in subsets)


def naive_p_no(vlm: VLM, edit: Edit, subset: tuple[int, ...]) -> float:
    text = " ".join(edit.reasoning[index] for index in subset)
    prompt = vlm.format_prompt(f"Given the image, is the following statement correct? Statement: '{text}'")
    logits = naive_logits(vlm, edit.image.open(), prompt, [])[-1].double()
    yes, no = (logits[token] for token in vlm.prompts.yes_no_ids)
    return float(no.exp() / (yes.exp() + no.exp()))


def test_chains_equal_naive_forwards(vlm: VLM, records: list[QARecord], tmp_path: Path) -> None:
    edits = [record.as_edit() for record in records[:10]]
    probabilities = [naive_p_no(vlm, edit, s) for edit in edits for s in ordered_subsets(len(edit.reasoning))]
    threshold = float(np.median(probabilities)) + 1e-3  # so that some are denied and some are not
    chains = error_chains(vlm, edits, threshold=threshold, cache_dir=tmp_path, **OPTIONS)
    assert [item.edit_id for item in chains] == [edit.id for edit in edits]
    lengths = set()
    for edit, found in zip(edits, chains, strict=True):
        subsets = list(ordered_subsets(len(edit.reasoning)))
        expected = [naive_p_no(vlm, edit, subset) for subset in subsets]
        assert list(found.subsets) == subsets
        assert not found.truncated
        assert found.problem is None
        np.testing.assert_allclose(found.p_no, expected, atol=1e-4)
        denied = {index for subset, p in zip(subsets, expected, strict=True) if p > threshold for index in subset}
        assert found.facts == tuple(sorted(denied))
        lengths.add(len(found.facts))
    assert len(lengths) > 1  # the case distinguishes something
    assert error_chains(vlm, edits, threshold=threshold, cache_dir=tmp_path, **OPTIONS) == chains


def test_the_cache_serves_other_thresholds_but_not_other_prompts(
    vlm: VLM, records: list[QARecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits = [record.as_edit() for record in records[:6]]
    done: list[tuple[int, int]] = []
    error_chains(vlm, edits, cache_dir=tmp_path, progress=lambda *now: done.append(now), **OPTIONS)
    assert done == [(3, 6), (6, 6)]
    monkeypatch.setattr(type(vlm), "encode_images", None)
    assert all(not item.facts for item in error_chains(vlm, edits, threshold=1.0, cache_dir=tmp_path, **OPTIONS))
    everything = error_chains(vlm, edits, threshold=-1.0, cache_dir=tmp_path, **OPTIONS)
    assert [item.facts for item in everything] == [tuple(range(len(edit.reasoning))) for edit in edits]
    with pytest.raises(TypeError):
        error_chains(vlm, edits, statement="Is this true: {statement}", cache_dir=tmp_path, **OPTIONS)


def test_many_long_and_unreadable(vlm: VLM, records: list[QARecord]) -> None:
    image = records[0].image
    many = Edit("many", image, "?", ("a", "b"), "a", tuple(f"Fact {place}." for place in range(9)))
    long = Edit("long", image, "?", ("a", "b"), "a", ("x y " * 5000, "Red {cat}."))
    broken = Edit("broken", ImageRef.from_bytes(b"?"), "?", ("a", "b"), "a", ("Fact.",))
    found = error_chains(vlm, [many, long, broken], max_subsets=20, threshold=-1.0, **OPTIONS)
    assert found[0].truncated
    assert len(found[0].subsets) == 20
    assert found[1].facts == (1,)
    assert np.isnan(found[1].p_no[0])
    assert np.isnan(found[1].p_no[2])
    assert found[2].facts == ()
    assert "not a picture" in str(found[2].problem)
    with pytest.raises(ConfigError, match="statement"):
        error_chains(vlm, [many], statement="Is it?")
