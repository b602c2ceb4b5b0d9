"""Downloads as they come: other spellings, parts, failed ones; sizes and commands of the original files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_modules.fvqa import read_fvqa
from data_modules.fvqa_facts import TriplesFile
from data_modules.published import AOKVQA, FVQA, FVQA_FOLDS, Size
from data_modules.qa_record import ReadReport
from data_modules.records import RecordError
from data_modules.sources import load_aokvqa, load_fvqa
from tests.realpack import FULL_AOKVQA, FULL_FVQA, REALPACK, needs_realpack


def aokvqa_row(name: str, image: int) -> dict[str, Any]:
    return {"image_id": image, "question_id": name, "question": "What?", "choices": ["a", "b"], "correct_choice_idx": 0}


def fvqa_row(name: str, image: str = "a.jpg", **changes: Any) -> dict[str, Any]:
    return {
        "fact_surface": f"[[{name}]] is a kind of [[animal]]", "ans_source": "image", "answer": name,
        "question": "What?", "img_file": image, "visual_concept": "obj", "kb_source": "conceptnet",
        "fact": [f"f/{name}"], "question_id": name, "choices": [name, "none of these"],
    } | changes  # fmt: skip


FOUR = {name: fvqa_row(name) for name in ("cat", "dog", "cow", "hen")}


def test_pictures_missing_from_coco_are_counted_with_the_command(aokvqa: Callable[..., Path]) -> None:
    root = aokvqa([aokvqa_row("a", 1), aokvqa_row("b", 88), aokvqa_row("c", 88), aokvqa_row("d", 99)], "val")
    report = load_aokvqa(root, split="val").report
    assert report.kept == 1
    assert len(report.skipped) == 3
    said = "\n".join(report.lines())
    command = f"curl -fL -C - -O http://images.cocodataset.org/zips/val2017.zip && unzip -nq val2017.zip -d {root}/coco"
    assert f"COCO val2017 pictures: 2 missing; get them: {command}" in said
    assert "4 questions on 3 pictures, but 1,145 on 1,122 were published" in said
    assert report.whole is False


def test_a_missing_split_is_named_before_any_picture_is_read(
    aokvqa: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = aokvqa([aokvqa_row("a", 1)], "val")
    monkeypatch.setattr("data_modules.reading.ImageFolder.find", lambda *_: pytest.fail("a picture was read"))
    with pytest.raises(RecordError, match=r"A-OKVQA train annotations not found .*aokvqa_v1p0.tar.gz \| tar xz"):
        load_aokvqa(root)
    (root / "aokvqa_v1p0_train.json").write_text("[]")
    with pytest.raises(RecordError, match=r"COCO train2017 pictures not found .*train2017.zip"):
        load_aokvqa(root)
    with pytest.raises(RecordError, match="each once"):
        load_aokvqa(root, split="val+val")
    with pytest.raises(RecordError, match=r"no such folder"):
        load_aokvqa(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        ("<!DOCTYPE html><html>404</html>", "a web page"),
        ("<?xml version='1.0'?><Error>AccessDenied</Error>", "a web page"),
        ("", "an empty file"),
        ('[{"question_id": "a", "qu', "not valid JSON"),
    ],
)
def test_what_failed_downloads_leave(aokvqa: Callable[..., Path], content: str, said: str) -> None:
    root = aokvqa([], "val")
    (root / "aokvqa_v1p0_val.json").write_text(content)
    with pytest.raises(RecordError, match=said) as caught:
        load_aokvqa(root, split="val")
    assert "fetch the file again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fvqa_in_other_spellings(fvqa: Callable[..., Path]) -> None:
    root = fvqa({name: row | {"img_file": "F.jpeg"} for name, row in FOUR.items()})
    release = root / "new_dataset_release"
    assert len(read_fvqa(root)) == 4  # f.JPEG on the disk
    (release / "images").rename(release / "Images")
    assert len(read_fvqa(root)) == 4
    (release / "Images").rename(root / "Images")  # beside, as the authors' README has it
    assert len(read_fvqa(root)) == 4


def test_fvqa_missing_pictures_and_sizes(fvqa: Callable[..., Path]) -> None:
    root = fvqa(FOUR | {"ox": fvqa_row("ox", "z.jpg")})
    said = "\n".join(load_fvqa(root).report.lines())
    assert "images: 1 missing; get them: curl -fL -C - -o fvqa.zip" in said
    assert "5 questions on 2 pictures, but 5,826 on 2,190 were published" in said
    shutil.rmtree(root / "new_dataset_release" / "images")
    with pytest.raises(RecordError, match=r"FVQA pictures not found .*fvqa.zip"):
        load_fvqa(root)
    (root / "new_dataset_release" / "all_qs_dict_release.json").unlink()
    with pytest.raises(RecordError, match=r"FVQA questions not found .*new_dataset_release.zip"):
        load_fvqa(root)


def test_all_five_folds_and_no_sixth(fvqa: Callable[..., Path]) -> None:
    root = fvqa(FOUR | {"ox": fvqa_row("ox", "c.png")})
    for fold in range(5):
        (root / "Name_Lists" / f"test_list_{fold}.txt").write_text("c.png\r\n" if fold % 2 else "a.jpg\n")
        assert len(read_fvqa(root, "test", fold)) == (1 if fold % 2 else 4)
    said = "\n".join(load_fvqa(root, subset="test", fold=3).report.lines())
    assert "1 questions on 1 pictures, but 1 on 1,099 were published" in said
    for fold in (5, -1):
        with pytest.raises(RecordError, match="folds 0 to 4"):
            read_fvqa(root, "test", fold)
    (root / "Name_Lists" / "test_list_2.txt").unlink()
    with pytest.raises(RecordError, match=r"test_list_2.txt \(subset=all needs none\) not found"):
        read_fvqa(root, "test", 2)


@pytest.mark.parametrize("name", ["all_fact_triples_release.json", "all_fact_triples_DERIVED.json", "my_Triples.json"])
def test_facts_come_from_the_triples_file_where_a_question_has_none(fvqa: Callable[..., Path], name: str) -> None:
    bare = {"fact_surface": None}
    root = fvqa(FOUR | {"ox": fvqa_row("ox", **bare), "elk": fvqa_row("elk", **bare), "emu": fvqa_row("emu", **bare)})
    facts = {
        "f/ox": {"surface": "[[An ox]] can [[pull a cart]]", "e1": "ox", "e2": "cart", "r": "/r/CapableOf"},
        "f/elk": {
            "surface": "",
            "e1": "elk",
            "e2": "wood",
            "e1_label": "an elk",
            "e2_label": "the wood",
            "r": "/r/AtLocation",
        },
    }
    (root / "new_dataset_release" / name).write_text(json.dumps(facts))
    report = ReadReport()
    found = {record.id: record.reasoning for record in read_fvqa(root, report=report)}
    assert found["ox"] == ("An ox can pull a cart.",)
    assert found["elk"] == ("An elk can be found at the wood.",)
    assert report.counts["facts_from_triples"] == 2
    assert report.skipped == [("emu", f"field 'fact_surface' is missing, and {name} does not have it")]
    (root / "new_dataset_release" / name).unlink()
    read_fvqa(root, report=(report := ReadReport()))
    assert {reason for _, reason in report.skipped} == {
        "field 'fact_surface' is missing, and there is no file of triples"
    }


def test_published_sizes_add_up() -> None:
    assert AOKVQA["train"] + AOKVQA["val"] == Size(18_201, 17_662)
    assert [a + b for a, b in zip(FVQA_FOLDS["train"], FVQA_FOLDS["test"], strict=True)] == [FVQA.pictures] * 5


@needs_realpack
def test_sizes_of_the_real_files() -> None:
    rows = json.loads(FULL_AOKVQA.read_text())
    assert Size(len(rows), len({row["image_id"] for row in rows})) == AOKVQA["val"]
    table = json.loads(FULL_FVQA.read_text())
    assert Size(len(table), len({row["img_file"] for row in table.values()})) == FVQA


@needs_realpack
def test_the_real_triples_file_has_the_facts_of_the_real_questions() -> None:
    release = REALPACK / "fvqa" / "new_dataset_release"
    triples = TriplesFile(release)
    rows = json.loads((release / "all_qs_dict_release.json").read_text()).values()
    named = [row for row in rows if not row["fact"][0].startswith("(")]
    assert len(named) == 24
    # Both files state the same fact in the same words.
    assert all(triples.surface(row["fact"][0]) == row["fact_surface"] for row in named)
