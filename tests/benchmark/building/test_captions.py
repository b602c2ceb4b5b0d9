"""Captions: the record's own, COCO's, else a VLM's; and a VLM's judgement of pictures, against plain forward passes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_modules.qa_record import QARecord
from data_modules.records import ImageRef, RecordError
from rv_edit.benchmark.building.captions import Caption, caption_all, read_captions
from rv_edit.benchmark.building.checking import VLMChecker, VLMHolder
from rv_edit.benchmark.building.journal import Journal
from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM
from tests.benchmark.building.subjects import record
from tests.vlm.tiny_llava import naive_logits

QUESTION, PROMPT = "Does this image show: {text}?", "Describe this image in a short sentence."


def checker(vlm: VLM, **options: Any) -> VLMChecker:
    given = {"question": QUESTION, "caption_prompt": PROMPT, "caption_tokens": 6, "batch_size": 2, **options}
    return VLMChecker(VLMHolder(lambda: vlm), {"model": "tiny"}, **given)


def pictures(count: int) -> list[Image.Image]:
    return [
        Image.fromarray(np.random.default_rng(n).integers(0, 256, (40, 40, 3), dtype=np.uint8)) for n in range(count)
    ]


def test_judgement_is_a_softmax_over_yes_and_no(vlm: VLM) -> None:
    images, texts = pictures(5), ["A cat.", "A red lamp.", "x y " * 5000, "A cat.", "The mat is blue."]
    found = checker(vlm).shows(images, texts)
    for image, text, p_yes in zip(images, texts, found, strict=True):
        if len(text) > 1000:
            assert np.isnan(p_yes)
            continue
        logits = naive_logits(vlm, image, vlm.format_prompt(f"Does this image show: {text}?"), [])[-1].double()
        yes, no = (logits[token].exp() for token in vlm.prompts.yes_no_ids)
        assert p_yes == pytest.approx(float(yes / (yes + no)), abs=1e-4)
    assert len({round(p, 6) for p in found if not np.isnan(p)}) > 2


def test_about_says_what_a_judgement_depends_on(vlm: VLM) -> None:
    one = checker(vlm)
    assert one.about == {"kind": "vlm", "model": "tiny", "question": QUESTION}
    assert one.captioned_by["prompt"] == PROMPT
    with pytest.raises(ConfigError, match=r"must contain \{text\}"):
        checker(vlm, question="Is it?")
    checker(vlm, question="")


def test_a_holder_loads_once_and_again_after_a_release(vlm: VLM) -> None:
    loaded: list[int] = []

    def load() -> VLM:
        loaded.append(1)
        return vlm

    holder = VLMHolder(load)
    holder.release()
    assert not loaded and holder.get() is holder.get() is vlm and len(loaded) == 1
    holder.release()
    holder.get()
    assert len(loaded) == 2


def coco(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text(json.dumps({"info": {}, "annotations": list(rows)}))
    return path


def test_the_caption_with_the_lowest_number_is_taken_from_any_file(tmp_path: Path) -> None:
    one = coco(
        tmp_path / "a.json",
        [
            {"image_id": 139, "id": 9, "caption": "later"},
            {"image_id": 139, "id": 2, "caption": " a dog\nruns "},
            {"image_id": 7, "id": 3, "caption": "  "},
            "no row",
            {"image_id": "7"},
        ],
    )
    two = coco(tmp_path / "b.json", [{"image_id": 8, "id": 1, "caption": "A cat."}])
    assert read_captions([one, two]) == {139: "A dog runs.", 8: "A cat."}
    assert read_captions([]) == {}


@pytest.mark.parametrize("content", ["[]", "{", '{"annotations": 3}'])
def test_files_that_hold_no_captions(tmp_path: Path, content: str) -> None:
    path = tmp_path / "captions.json"
    path.write_text(content)
    with pytest.raises(RecordError, match=r"captions\.json") as caught:
        read_captions([path])
    assert "\n" not in str(caught.value)
    with pytest.raises(RecordError, match="no such file; get it: curl .*annotations_trainval2017.zip") as caught:
        read_captions([tmp_path / "none.json"])
    assert str(caught.value).endswith(f"'annotations/captions_*.json' -d {tmp_path}")


def named(name: str) -> QARecord:
    return QARecord("q", ImageRef("sha", f"folder/{name}"), "?", ("a", "b"), "a")


COCO = Caption("Dog.", {"kind": "coco", "image_id": 139})


@pytest.mark.parametrize(
    ("one", "caption"),
    [
        (named("COCO_val2014_000000000139.jpg"), COCO),
        (named("000000000139.png"), COCO),
        (named("ILSVRC2012_test_00000139.JPEG"), Caption()),
        (named("1000000000139.png"), Caption()),
        (record(image_id=139), COCO),
        (record(image_id=140), Caption()),
        (record(image_id=True), Caption()),
        (record(image_id=139, caption="its own"), Caption("Its own.", {"kind": "record"})),
    ],
)
def test_where_a_caption_comes_from(tmp_path: Path, one: QARecord, caption: Caption) -> None:
    with Journal(tmp_path) as journal:
        assert caption_all([one], {139: "Dog."}, None, journal, 2) == {one.id: caption}


def test_others_are_described_by_the_vlm_once(vlm: VLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record(f"q{n}") for n in range(4)]
    records.append(QARecord("same", records[0].image, "?", ("a", "b"), "a"))
    records.append(record("known", caption="known"))
    with Journal(tmp_path) as journal:
        done: list[int] = []
        found = caption_all(records, {}, checker(vlm), journal, 2, done.append)
        assert sum(done) == 6 and len(journal.rows) == 4
    images = [one.image.open() for one in records[:4]]
    expected = vlm.generate(vlm.encode_images(images), [vlm.format_prompt(PROMPT)] * 4, 6)
    for one, text in zip(records, expected, strict=False):
        assert found[one.id].text.rstrip(".").casefold() == " ".join(text.split()).rstrip(".").casefold()
        assert found[one.id].origin == checker(vlm).captioned_by
    assert found["same"] == found["q0"] and found["known"] == Caption("Known.", {"kind": "record"})
    monkeypatch.setattr(type(vlm), "encode_images", None)
    with Journal(tmp_path) as journal:
        assert caption_all(records, {}, checker(vlm), journal, 2) == found
        with pytest.raises(TypeError):  # another prompt is another caption
            caption_all(records, {}, checker(vlm, caption_prompt="Say."), journal, 2)
