"""RationaleVQA in the layout of its authors' loader: records, suites, and files that differ from what is expected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from huggingface_hub.utils import filter_repo_objects
from PIL import Image

from data_modules.bundle import DataBundle
from data_modules.qa_record import QARecord
from data_modules.rationale_tables import chain_facts, choices_of
from data_modules.rationale_vqa import load_rationale_vqa
from data_modules.records import RecordError
from data_modules.suites import build_suites

Row = dict[str, Any]
OPTIONS = ("(A) cow\n(B) cat; dog\n(C) hen\n(D) pig", "cow; cat; dog; hen; pig")


def question(uid: str, path: str, **changes: Any) -> Row:
    return {
        "uid": uid, "image_path": path, "question": f"What is {uid}?", "answer": "Cow",
        "rationale": "It moos. It eats.", "choices": OPTIONS[1], "idx_choices": OPTIONS[0],
    } | changes  # fmt: skip


def write(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_list(rows).to_parquet(path)


def picture(path: Path, colour: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (colour, 9, 9)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of A-OKVQA's half, two questions in train and one in test; pictures in COCO's folders."""
    base, path = tmp_path / "RationaleVQA", "data/images/aokvqa/{}2017/{:012}.jpg"
    write(
        base / "AOKVQA/train.parquet", [question("1", path.format("train", 1)), question("2", path.format("train", 2))]
    )
    write(base / "AOKVQA/test.parquet", [question("3", path.format("val", 3))])
    reason = "The image shows a cow. Cows moo. So it is a cow."
    write(base / "r_gen/cot/aokvqa.parquet", [{"uid": "1", "cot": "x", "objects": "[cow]", "reason": reason}])
    write(base / "t_gen/aokvqa.parquet", [{"uid": "1", "variants": ["Name 1.", "Say 1.", "Name 1.", " "]}])
    info = {"image_path": path.format("train", 1), "image_info_id": "train_1"}
    write(base / "i_gen/aokvqa.parquet", [info | {"caption": "A cow."}, info | {"caption": "Another."}])
    made = {"uid": "1", "question": "What moos?", "rationale": "Cows moo.", "response": "…"}
    rows = [
        made | {"sid": "1_1", "answers": "a cow | a hen | a pig | an ox"},
        made | {"sid": "1_2", "answers": "a cow"},
        made | {"sid": "1_3", "answers": "a cow | a hen", "question": ""},
        made | {"sid": "../1", "answers": "a cow | a hen"},
    ]
    write(base / "r_gen/qa/aokvqa.parquet", rows)
    scenes = {"uid": "1", "indices": "0,1", "scenario_1": "A barn.", "scenario_2": "A field.", "scenario_3": None}
    write(base / "coe_gen/lite/llava-1.5-7b-hf_aokvqa.parquet", [scenes])
    for split, number in (("train", 1), ("train", 2), ("val", 3)):
        picture(tmp_path / "coco" / f"{split}2017" / f"{number:012}.jpg", number)
    return base


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    """What the authors' programs make for question 1."""
    base = tmp_path / "generated"
    for place, name in enumerate(["flux_0", "sd3_0", "sd3_1"]):
        picture(base / "related_image/aokvqa/train_1" / f"{name}.png", 50 + place)
    picture(base / "r_gen/image/aokvqa/1_1.png", 60)
    for place in (0, 2):
        picture(base / "coe_gen_merge/image/aokvqa/llava-1.5-7b-hf/1" / f"scenario_{place}.png", 70 + place)
    return base


Load = Callable[..., DataBundle]


@pytest.fixture
def load(root: Path, tmp_path: Path) -> Load:
    return lambda **options: load_rationale_vqa(root, options.pop("images", tmp_path / "coco"), **options)


def test_records_field_by_field(load: Load) -> None:
    bundle = load(check_images=True)
    assert bundle.name == "rationale_vqa_aokvqa"
    assert [record.id for record in bundle.records] == ["1", "2", "3"]
    first, second, third = bundle.records
    assert (first.question, first.answer) == ("What is 1?", "cow")
    assert first.choices == ("cow", "cat; dog", "hen", "pig")
    assert first.reasoning == ("The image shows a cow.", "Cows moo.")
    assert second.reasoning == ("It moos.", "It eats.")  # without a chain, the rationale
    assert [Path(str(record.image.path)).parent.name for record in bundle.records] == ["train2017"] * 2 + ["val2017"]
    assert (first.extras["split"], third.extras["split"]) == ("train", "test")
    assert first.extras["caption"] == "A cow."
    assert first.extras["rephrasings"] == ("Name 1.", "Say 1.", "Name 1.")
    (made,) = first.extras["rationale_questions"]
    assert (made["sid"], made["answer"], made["facts"]) == ("1_1", "a cow", "Cows moo.")
    assert made["choices"] == ("a cow", "a hen", "a pig", "an ox")
    assert load(conclusion=True).records[0].reasoning[-1] == "So it is a cow."
    assert load(reasoning="rationale").records[0].reasoning == ("It moos.", "It eats.")
    assert [record.id for record in load(split="test").records] == ["3"]
    report = bundle.report
    assert report is not None
    said = "\n".join(report.lines())
    assert report.whole is False
    assert "3 questions on 3 pictures, but 18,195 on 17,656 were published" in said
    assert "rephrasings of 1 questions, 1 rationale questions" in said
    assert "1 rationale questions left out: it has no text" in said
    assert report.counts["without_a_chain"] == 2


def suites(bundle: DataBundle, records: list[QARecord]) -> dict[str, Any]:
    edits = [record.as_edit() for record in records]
    return build_suites(bundle.provider, edits, {record.id: record for record in records}, lambda es: [(0,)] * len(es))


def test_suites_have_what_there_are_pictures_for(load: Load, generated: Path) -> None:
    bundle = load(generated=generated, model="llava-1.5-7b-hf")
    made = suites(bundle, list(bundle.records[:2]))
    assert [question.text for question in made["t_gen"]] == ["Name 1.", "Say 1."]
    assert [question.id for question in made["i_gen"]] == ["1-i-flux_0", "1-i-sd3_0", "1-i-sd3_1"]
    (asked,) = made["r_gen"]
    assert asked.text == "What moos?" and asked.choices[asked.target] == "a cow"
    assert sorted(asked.choices) == ["a cow", "a hen", "a pig", "an ox"]
    assert [question.id for question in made["coe_gen"]] == ["1-c-scenario_0", "1-c-scenario_2"]
    assert not made["contrast"]
    assert all(question.edit_id == "1" for suite in ("t_gen", "i_gen", "r_gen", "coe_gen") for question in made[suite])
    assert bundle.records[0].extras["scenarios"] == ("A barn.", "A field.")
    orders = {
        suites(load(generated=generated, seed=seed), [load(generated=generated).records[0]])["r_gen"][0].target
        for seed in range(6)
    }
    assert len(orders) > 1  # the right one does not always stand where the file has it
    assert [q.text for q in suites(load(rephrasings=1), [bundle.records[0]])["t_gen"]] == ["Name 1."]


def test_without_generated_pictures_there_are_rephrasings_only(load: Load) -> None:
    bundle = load()
    made = suites(bundle, list(bundle.records))
    assert {suite for suite, questions in made.items() if questions} == {"acc", "t_gen"}


@pytest.mark.parametrize("inside", ["", "images", "Images", "new_dataset_release/images", "fvqa"])
def test_pictures_of_fvqa_wherever_they_lie(tmp_path: Path, inside: str) -> None:
    base, path = tmp_path / "r", "data/images/fvqa/ILSVRC2012_test_00000001.JPEG"
    write(base / "FVQA/train.parquet", [question("7", path)])
    write(base / "r_gen/cot/fvqa.parquet", [{"uid": "7", "reason": "A. So b."}])
    # A copy that has the ending in another case, as some do.
    picture(tmp_path / "pictures" / inside / "ILSVRC2012_test_00000001.jpeg", 5)
    bundle = load_rationale_vqa(base, tmp_path / "pictures", subset="fvqa")
    assert [record.id for record in bundle.records] == ["7"]
    assert bundle.records[0].reasoning == ("A.",)


def test_what_is_missing_is_named_with_the_command(load: Load, root: Path, tmp_path: Path) -> None:
    (tmp_path / "coco/train2017/000000000002.jpg").unlink()
    said = "\n".join(load().report.lines())  # type: ignore[union-attr]
    assert "1 missing; get them: curl -fL -C - -O http://images.cocodataset.org/zips/train2017.zip" in said
    (root / "r_gen/cot/aokvqa.parquet").unlink()
    with pytest.raises(RecordError, match="r_gen/cot/aokvqa.parquet: no such file; get it: hf download JJoy333"):
        load()
    assert len(load(reasoning="rationale").records) == 2
    with pytest.raises(RecordError, match=r"dataset\.images"):
        load(images=None)
    with pytest.raises(RecordError, match="none of 3 records can be used; the first: 1: picture .* is missing"):
        load(images=root, reasoning="rationale")
    for options, told in [
        ({"subset": "okvqa"}, "aokvqa, fvqa"),
        ({"split": "dev"}, "all, train, val, test"),
        ({"model": "llava"}, "llava-1.5-7b-hf"),
        ({"reasoning": "cot"}, "chain, rationale"),
        ({"subset": "fvqa"}, "no train.parquet, val.parquet, test.parquet in it; get it: hf download"),
    ]:
        with pytest.raises(RecordError, match=told) as caught:
            load(**({"reasoning": "rationale"} | options))
        assert "\n" not in str(caught.value)


def test_other_columns_are_named_with_what_was_expected_and_found(load: Load, root: Path) -> None:
    write(root / "AOKVQA/train.parquet", [{"uid": "1", "image": "x.jpg", "question": "What?", "label": "cow"}])
    with pytest.raises(RecordError) as caught:
        load()
    said = str(caught.value)
    assert (
        "AOKVQA/train.parquet: no column image_path, answer, rationale, choices, idx_choices; expected uid (text)"
        in said
    )
    assert "idx_choices (lines '(A) text')" in said
    assert "found uid, image, question, label" in said
    write(root / "AOKVQA/train.parquet", [question("1", "data/images/aokvqa/train2017/000000000001.jpg")])
    write(root / "t_gen/aokvqa.parquet", [{"uid": "1", "rephrased": ["x"]}])
    with pytest.raises(RecordError, match="no column variants; expected uid"):
        load()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"answer": "ox"}, "not among the choices"),
        ({"choices": "cow", "idx_choices": ""}, "1 distinct choice"),
        ({"image_path": "../../etc/passwd"}, "no path of a picture"),
        ({"question": None}, "'question'"),
        ({"uid": "3"}, "duplicate id"),
    ],
)
def test_bad_rows_are_skipped_and_listed(load: Load, root: Path, changes: Row, said: str) -> None:
    path = "data/images/aokvqa/train2017/000000000001.jpg"
    write(root / "AOKVQA/test.parquet", [question("3", path), question("4", path) | changes, question("5", path)])
    bundle = load(split="test")
    assert [record.id for record in bundle.records] == ["3", "5"]
    ((_, reason),) = bundle.report.skipped  # type: ignore[union-attr]
    assert said in reason


def test_choices_and_chains() -> None:
    assert choices_of({"idx_choices": None, "choices": "a; b ;c;"}) == ["a", "b", "c"]
    assert choices_of({"idx_choices": "(A) a", "choices": "a; b"}) == ["a", "b"]
    assert choices_of({"idx_choices": "(A) x\n(B) y", "choices": ["a; b", " c ", ""]}) == ["a; b", "c"]
    assert chain_facts("One. Two! Three", False) == ["One.", "Two!"]
    assert chain_facts("Only one.", False) == [] and chain_facts("Only one.", True) == ["Only one."]
    assert chain_facts(["One.", "Two. Three.", "So four."], False) == ["One.", "Two.", "Three."]
    assert chain_facts(None, False) == [] and chain_facts([1], True) == []
    assert chain_facts("Mr. X is 3.5 m tall. So b.", False) == ["Mr.", "X is 3.5 m tall."]  # as the authors split


@pytest.mark.parametrize("reason", [["The image shows a cow.", "Cows moo.", "So it is a cow."], ["Cow."], 7, None])
def test_chains_of_another_type_are_read_or_counted(load: Load, root: Path, reason: Any) -> None:
    """The files could not be opened where this was written: what replaces a chain must not go unnoticed."""
    write(root / "r_gen/cot/aokvqa.parquet", [{"uid": "1", "reason": reason}])
    write(root / "AOKVQA/test.parquet", [question("3", "val2017/3.jpg", choices=["hen", "Cow"])])
    bundle = load()
    listed = isinstance(reason, list) and len(reason) > 1
    told = ("The image shows a cow.", "Cows moo.") if listed else ("It moos.", "It eats.")
    assert bundle.records[0].reasoning == told
    assert bundle.report is not None and bundle.report.counts["without_a_chain"] == (1 if listed else 2)


def test_from_the_hub_or_the_command_that_gets_it(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecordError, match="hf download JJoy333/RationaleVQA --repo-type dataset, or give a") as caught:
        load_rationale_vqa(None, tmp_path / "coco")
    assert "\n" not in str(caught.value)
    asked: dict[str, Any] = {}

    def download(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        return str(root)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert len(load_rationale_vqa(None, tmp_path / "coco").records) == 3
    assert (asked["name"], asked["repo_type"]) == ("JJoy333/RationaleVQA", "dataset")
    paths = [str(path.relative_to(root)) for path in root.rglob("*.parquet")]
    assert sorted(filter_repo_objects(paths, allow_patterns=asked["allow_patterns"])) == sorted(paths)
    assert not list(filter_repo_objects(["FVQA/train.parquet"], allow_patterns=asked["allow_patterns"]))
