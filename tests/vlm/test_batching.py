"""A bound on tokens: no pass holds more keys and values than it says, and results differ by rounding alone."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import DynamicCache

from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM, load_vlm, probe_layers
from rv_edit.vlm.batching import fitting

QUESTIONS = ["What is it?", "What colour is the cat?", "Is it?", "Does the image show a small dog on the mat?"]
ANSWERS = [["red", "a small dog"], ["blue", "two cats"], ["red", "green"], ["yes", "no, it is a lamp"]]


@contextmanager
def sizes(vlm: VLM) -> Iterator[list[tuple[int, int]]]:
    """(rows, positions with what was read before) of every pass of the language model."""
    seen: list[tuple[int, int]] = []

    def see(_module: Any, _args: Any, given: dict[str, Any]) -> None:
        seen.append(tuple(given["attention_mask"].shape))  # type: ignore[arg-type]

    handle = vlm.decoder.register_forward_pre_hook(see, with_kwargs=True)
    yield seen
    handle.remove()


def test_no_pass_is_larger_than_it_says(vlm: VLM, checkpoint: Path, images: list[Image.Image]) -> None:
    bounded = load_vlm(str(checkpoint), batch_tokens=100)
    prompts = [vlm.format_prompt(question) for question in QUESTIONS]
    feats = vlm.encode_images(images).pick([0, 0, 0, 1])
    pairs = [images[0], images[0], images[0], images[1]]
    found = []
    for model in (vlm, bounded):
        with sizes(model) as seen:
            scores = model.score(feats, prompts, ANSWERS)
            sure = model.yes_no(feats, prompts)
            probed = probe_layers(model, pairs, QUESTIONS)
            embedded = model.embed_layers(pairs, QUESTIONS)
        found.append((seen, scores, sure, probed, embedded))
    (free, *expected), (held, *got) = found
    assert len(held) > len(free) and max(rows * width for rows, width in free) > 100
    assert all(rows * width <= 100 or rows == 1 for rows, width in held), held
    for one, other in zip(expected[0], got[0], strict=True):
        assert one.logp == pytest.approx(other.logp, abs=1e-4)
    assert torch.allclose(expected[1], got[1], atol=1e-4)
    for place in (2, 3):
        for ref, value in expected[place].items():
            assert torch.allclose(value, got[place][ref], atol=1e-4), ref


def held(vlm: VLM) -> int:
    """Tokens whose keys and values some cache holds now; what several caches share counts once."""
    layers = [layer for found in gc.get_objects() if isinstance(found, DynamicCache) for layer in found.layers[:1]]
    kept = {layer.keys.data_ptr(): layer.keys for layer in layers if layer.keys is not None}
    return sum(keys.shape[0] * keys.shape[2] for keys in kept.values())


def test_little_is_held_at_a_time(checkpoint: Path, images: list[Image.Image]) -> None:
    """A batch's prompts and their copies for the answers; nothing of the batch before, or of what prompts share."""
    bounded = load_vlm(str(checkpoint), batch_tokens=100)
    gc.collect()
    before = held(bounded)
    seen: dict[str, list[int]] = {"shared": [], "prefill": [], "continue": []}

    def see(*_: Any) -> None:
        assert bounded.hook_context is not None
        seen[bounded.hook_context.phase].append(held(bounded) - before)

    handle = bounded.lm_layers()[-1].register_forward_hook(see)
    feats = bounded.encode_images(images)
    rows = feats.pick([0, 0, 0, 1, 1, 2, 3, 3])
    bounded.score(rows, [bounded.format_prompt(question) for question in QUESTIONS * 2], ANSWERS * 2)
    handle.remove()
    assert len(seen["prefill"]) > 2 and max(seen["shared"] + seen["prefill"]) <= 100
    assert len(seen["continue"]) > 2 and 100 < max(seen["continue"]) <= 200
    gc.collect()
    assert held(bounded) == before


def test_runs_are_as_long_as_they_may_be() -> None:
    """By trying every cut: none of the runs could have taken the next one along."""
    widths = [5, 3, 3, 8, 1, 1, 1, 1, 9, 2]
    for rows in (1, 2, 3, 9):
        for tokens in (None, 1, 6, 12, 30):
            runs = list(fitting(widths, rows, tokens))
            assert [place for run in runs for place in run] == list(range(len(widths)))
            for run, after in zip(runs, [*runs[1:], None], strict=True):
                size = max(widths[place] for place in run) * len(run)
                assert len(run) <= rows and (tokens is None or size <= tokens or len(run) == 1)
                if after is not None:
                    longer = [*run, after[0]]
                    assert len(longer) > rows or (
                        tokens is not None and max(widths[place] for place in longer) * len(longer) > tokens
                    )
    assert list(fitting([], 3, 9)) == []


def test_bad_bounds(checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match="batch_tokens=0"):
        load_vlm(str(checkpoint), batch_tokens=0)
    with pytest.raises(ConfigError, match="batch_size must be at least 1"):
        list(fitting([1], 0, None))
