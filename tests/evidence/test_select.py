from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from data_modules.records import RecordError
from rv_edit.errors import ConfigError
from rv_edit.evidence import EvidenceSelector, grid_patches, select_evidence
from rv_edit.vlm import VLM, ImageFeatures
from tests.vlm.tiny_llava import naive_logits

FACTS = ["The cat is red.", "A dog is used for two things!", "the lamp"]


def picture(width: int = 48, height: int = 36, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST)


def naive(vlm: VLM, image: Image.Image, fact: str, threshold: float) -> tuple[list[float], dict[int, float], tuple]:
    """All three steps for one fact, patch by patch, by plain full forward passes."""
    patches = grid_patches(*image.size)
    sure, relevance = [], {}
    for row, patch in enumerate(patches):
        part = image.crop(patch.box)
        question = f"Does the image show {fact.rstrip('.!')}?"
        last = naive_logits(vlm, part, vlm.format_prompt(question), [])[-1].double()
        pair = last[[vlm.prompts.answer_ids(word)[0] for word in vlm.prompts.style.yes_no]].numpy()
        sure.append(float(np.exp(pair[0]) / np.exp(pair).sum()))
        if sure[-1] > threshold:
            ids = vlm.prompts.answer_ids(fact)
            logits = naive_logits(vlm, part, vlm.format_prompt("Describe this image."), ids).double()
            steps = logits[-len(ids) - 1 : -1].log_softmax(dim=-1)
            relevance[row] = float(sum(steps[at, token] for at, token in enumerate(ids))) / len(ids)
    if not relevance:
        return sure, relevance, ()
    best = max(relevance, key=relevance.__getitem__)
    least = min(patches[row].cells for row in relevance)
    local = max((row for row in relevance if patches[row].cells == least), key=relevance.__getitem__)
    return sure, relevance, tuple(dict.fromkeys((patches[best].box, patches[local].box)))


@pytest.mark.parametrize("size", [(48, 36), (36, 48), (40, 40)])
def test_equals_the_patch_by_patch_loop(vlm: VLM, size: tuple[int, int]) -> None:
    image = picture(*size)
    # a random model is sure of everything or nothing: a threshold in the middle makes step 1 matter
    probabilities = np.sort([value for fact in FACTS for value in naive(vlm, image, fact, 1.0)[0]])
    middle = probabilities[len(probabilities) // 4 : -(len(probabilities) // 4)]
    gap = int(np.diff(middle).argmax())
    threshold = float(middle[gap : gap + 2].mean())
    found = EvidenceSelector(vlm, threshold=threshold)(image, FACTS, edit_id="e1")
    sources = set()
    for fact, entry in zip(FACTS, found.facts, strict=True):
        sure, relevance, boxes = naive(vlm, image, fact, threshold)
        np.testing.assert_allclose([item.p_yes for item in entry.candidates], sure, atol=1e-4)
        kept = {row: item.relevance for row, item in enumerate(entry.candidates) if item.relevance is not None}
        assert kept.keys() == relevance.keys()
        np.testing.assert_allclose(list(kept.values()), list(relevance.values()), atol=1e-4)
        assert entry.boxes == boxes
        assert entry.source == ("found" if boxes else "none")
        assert len(boxes) <= 2
        sources.add(len(boxes))
    assert sources != {0}
    for entry in found.facts:
        assert tuple(found.boxes[place] for place in entry.crops) == entry.boxes
    assert [part.tobytes() for part in found.images] == [image.crop(box).tobytes() for box in found.boxes]


def test_smallest_and_most_likely_differ_sometimes(vlm: VLM) -> None:
    numbers = [len(select_evidence_all(vlm, seed).facts[0].boxes) for seed in range(4)]
    assert set(numbers) == {1, 2}


def select_evidence_all(vlm: VLM, seed: int) -> object:
    return EvidenceSelector(vlm, threshold=0.0)(picture(40, 40, seed), FACTS[:1])


def test_each_patch_is_encoded_once_whatever_the_facts(vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    for name in ("encode_images", "yes_no", "score"):
        method = getattr(vlm, name)

        def counted(
            rows: object, *rest: object, _name: str = name, _method: object = method, **named: object
        ) -> object:
            calls.append(len(rows) if _name == "encode_images" else 0)  # type: ignore[arg-type]
            return _method(rows, *rest, **named)  # type: ignore[operator]

        monkeypatch.setattr(vlm, name, counted)
    EvidenceSelector(vlm, threshold=0.0)(picture(), FACTS)
    assert calls == [21, 0, 0]


def test_features_are_those_of_the_crops(vlm: VLM) -> None:
    crops = {1: [(3, 4, 20, 30)]}
    found = EvidenceSelector(vlm, threshold=0.0)(picture(), FACTS[:2], crops, pool_layers=(1,))
    assert isinstance(found.features, ImageFeatures)
    assert len(found.features) == len(found.boxes) == len(found.images) >= 2
    expected = vlm.encode_images(list(found.images), pool_layers=(1,)).pooled[1]
    torch.testing.assert_close(found.features.pooled[1], expected, atol=1e-5, rtol=0)


def test_facts_do_not_influence_each_other(vlm: VLM) -> None:
    select = EvidenceSelector(vlm, threshold=0.0)
    together = select(picture(), FACTS)
    for fact, entry in zip(FACTS, together.facts, strict=True):
        (alone,) = select(picture(), [fact]).facts
        assert alone.boxes == entry.boxes
        np.testing.assert_allclose(
            [item.relevance for item in alone.candidates], [item.relevance for item in entry.candidates], atol=1e-4
        )


def test_user_crops_replace_all_steps(vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("crops of the user need no model's opinion")

    monkeypatch.setattr(vlm, "yes_no", never)
    monkeypatch.setattr(vlm, "score", never)
    crops = {0: [(1, 1, 9.5, 9), (0, 0, 48, 36)], 1: [(1, 1, 10, 9)]}
    found = EvidenceSelector(vlm)(picture(), FACTS[:2], crops, "e1")
    assert [entry.source for entry in found.facts] == ["user", "user"]
    assert found.facts[0].boxes == ((1, 1, 10, 9), (0, 0, 48, 36))
    assert found.facts[1].boxes == ((1, 1, 10, 9),)
    assert found.boxes == ((1, 1, 10, 9), (0, 0, 48, 36))
    assert [entry.crops for entry in found.facts] == [(0, 1), (0,)]


def test_crops_for_one_fact_leave_the_others_to_be_found(vlm: VLM) -> None:
    select = EvidenceSelector(vlm, threshold=0.0)
    found = select(picture(), FACTS, {1: [(1, 1, 10, 9)], 2: []}, "e1")
    assert [entry.source for entry in found.facts] == ["found", "user", "found"]
    assert found.facts[2].boxes == select(picture(), FACTS).facts[2].boxes


def test_nothing_kept_and_nothing_asked(vlm: VLM) -> None:
    found = EvidenceSelector(vlm, threshold=0.999999)(picture(), FACTS)
    assert [(entry.source, entry.boxes) for entry in found.facts] == [("none", ())] * 3
    assert (found.boxes, found.images, found.features) == ((), (), None)
    assert len(found.facts[0].candidates) == 21
    assert EvidenceSelector(vlm)(picture(), []).facts == ()


@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (2000, 2), (2, 2), (3, 1)])
def test_tiny_and_extreme_pictures(vlm: VLM, size: tuple[int, int]) -> None:
    found = EvidenceSelector(vlm, threshold=0.0)(Image.new("RGB", size, "red"), FACTS[:1])
    assert len(found.facts[0].boxes) <= 2
    if size == (1, 1):
        assert found.facts[0].source == "none"
    whole = EvidenceSelector(vlm)(Image.new("L", size), FACTS[:1], {0: [(0, 0, *size)]})
    assert whole.images[0].size == size
    assert whole.images[0].mode == "RGB"


def test_prompts_are_options(vlm: VLM) -> None:
    usual, other = EvidenceSelector(vlm), EvidenceSelector(vlm, show_prompt="dog or cat {fact}", describe_prompt="lamp")
    first, second = usual(picture(), FACTS[:1]).facts[0], other(picture(), FACTS[:1]).facts[0]
    assert max(abs(a.p_yes - b.p_yes) for a, b in zip(first.candidates, second.candidates, strict=True)) > 1e-3
    braces = usual(picture(), ["a {thing} of {fact} {0}"]).facts[0]
    assert len(braces.candidates) == 21
    with pytest.raises(ConfigError, match="show_prompt"):
        EvidenceSelector(vlm, show_prompt="Is it there?")
    with pytest.raises(ConfigError, match="threshold=1"):
        EvidenceSelector(vlm, threshold=1.0)


def test_unusable_edits_are_one_line(vlm: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecordError, match=r"edit e3, fact 0 .*outside"):
        EvidenceSelector(vlm)(picture(), FACTS, {0: [(0, 0, 480, 36)]}, "e3")
    with pytest.raises(RecordError, match="edit e3, fact 1: is empty"):
        EvidenceSelector(vlm)(picture(), ["a dog", " "], None, "e3")
    with pytest.raises(RecordError, match=r"edit e3, fact 1 .*too long") as caught:
        EvidenceSelector(vlm)(picture(), ["a dog", "the red dog and " * 700], None, "e3")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    yes_no = vlm.yes_no
    monkeypatch.setattr(vlm, "yes_no", lambda *rest, **named: yes_no(*rest, **named) * float("nan"))
    with pytest.raises(RecordError, match=r"edit e3, fact 0 .*not finite"):
        EvidenceSelector(vlm)(picture(), FACTS, None, "e3")


def test_the_short_form(vlm: VLM) -> None:
    expected = EvidenceSelector(vlm)(picture(), FACTS[:1])
    found = select_evidence(vlm, picture(), FACTS[0])
    assert found.facts == expected.facts
    assert dataclasses.is_dataclass(found)
