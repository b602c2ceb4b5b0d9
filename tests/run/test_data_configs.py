"""Every shipped data set's options reach its source: validated from the command line's own configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import Dataset
from omegaconf import DictConfig
from PIL import Image

from rv_edit.cli import conf_dir, one_line
from rv_edit.run import run
from tests.data_modules.hub_files import as_parquet, row
from tests.realpack import REALPACK, needs_realpack

Composed = Callable[..., DictConfig]
EDIT = {"question": "What?", "choices": ["a", "b"], "answer": "a"}


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), "red").save(path)


def parquet(path: Path, *rows: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_list(list(rows)).to_parquet(path)


def aokvqa(root: Path) -> list[str]:
    for split in ("train", "val"):
        listed = [{"question_id": split, "image_id": 1, "correct_choice_idx": 0} | EDIT]
        (root / f"aokvqa_v1p0_{split}.json").write_text(json.dumps(listed))
        picture(root / "coco" / f"{split}2017" / f"{1:012}.jpg")
    return []


def aokvqa_hub(root: Path) -> list[str]:
    as_parquet(root, train=[row("t")], validation=[row("v")])
    return []


def fvqa(root: Path) -> list[str]:
    question = {"img_file": "a.jpg", "fact_surface": "[[x]] is [[y]]", "fact": ["f"], "ans_source": "image"} | EDIT
    (root / "new_dataset_release").mkdir()
    (root / "new_dataset_release/all_qs_dict_release.json").write_text(json.dumps({"1": question, "2": question}))
    picture(root / "new_dataset_release/images/a.jpg")
    return []


def rationale_vqa(root: Path) -> list[str]:
    base = {"image_path": "data/images/aokvqa/val2017/1.jpg", "rationale": "R.", "idx_choices": "(A) a\n(B) b"}
    rows = [base | EDIT | {"uid": uid, "choices": "a; b"} for uid in "12"]
    parquet(root / "AOKVQA/train.parquet", *rows)
    parquet(root / "r_gen/cot/aokvqa.parquet", {"uid": "1", "reason": "One. So a."})
    picture(root / "coco/val2017/1.jpg")
    return [f"dataset.images={root / 'coco'}"]


def own(root: Path) -> list[str]:
    picture(root / "a.png")
    lines = [json.dumps({"id": name, "image": "a.png"} | EDIT) for name in "12"]
    (root / "edits.jsonl").write_text("\n".join(lines))
    return []


LAYOUTS = {layout.__name__: layout for layout in (aokvqa, aokvqa_hub, fvqa, rationale_vqa, own)}


def target(name: str) -> str:
    node = yaml.safe_load((conf_dir() / "dataset" / f"{name}.yaml").read_text())
    return f"dataset.source._target_={node['source']['_target_']}"


@pytest.mark.parametrize("name", LAYOUTS)
def test_validated_as_configured(composed: Composed, tmp_path: Path, name: str) -> None:
    root = tmp_path / "data"
    root.mkdir()
    options = [*LAYOUTS[name](root), f"dataset.root={root}", f"cache={tmp_path / 'cache'}"]
    found = run(composed("task=validate_data", f"dataset={name}", target(name), *options))
    assert (found["kept"], found["listed"]) == (2, 2)
    assert not found["skipped"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_without_a_folder_one_line_says_what_to_give(composed: Composed, tmp_path: Path, name: str) -> None:
    with pytest.raises(Exception) as caught:
        run(composed("task=validate_data", f"dataset={name}", target(name), f"cache={tmp_path / 'cache'}"))
    line = one_line(caught.value)
    assert line is not None and "\n" not in line
    hub = "hf download HuggingFaceM4/A-OKVQA"
    wanted = {"aokvqa": hub, "aokvqa_hub": hub, "rationale_vqa": "dataset.images="}.get(name, "dataset.root=")
    assert wanted in line


def test_a_copy_of_the_hubs_goes_by_the_same_name(composed: Composed, tmp_path: Path) -> None:
    aokvqa_hub(tmp_path / "data")
    options = [f"dataset.root={tmp_path / 'data'}", f"cache={tmp_path / 'cache'}"]
    found = run(composed("task=validate_data", "dataset=aokvqa", target("aokvqa"), *options))
    assert (found["kept"], found["listed"], found["whole"]) == (2, 2, False)
    assert (tmp_path / "cache/aokvqa_hub").is_dir()


@needs_realpack
@pytest.mark.parametrize(("name", "root", "options"), [("aokvqa", "", ["dataset.split=val"]), ("fvqa", "fvqa", [])])
def test_an_edit_run_on_real_photos(
    composed: Composed, tmp_path: Path, name: str, root: str, options: list[str]
) -> None:
    """The whole task on real records; what the tiny model says of photos is noise, what is by construction is not."""
    few = ["dataset.edits=3", "dataset.loc_random=2", "dataset.loc_similar=2", "model.rounding=0"]
    run(composed(f"dataset={name}", target(name), f"dataset.root={REALPACK / root}", *few, *options))
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert found["edits"] == 3 and found["skipped"] == []
    assert found["before"]["acc"] == {"mean": 0.0, "ci95": found["before"]["acc"]["ci95"], "n": 3}
    assert found["before"]["loc"]["mean"] == 1.0 and found["after"]["loc"]["n"] == 4
    assert (tmp_path / "out" / "gallery.html").is_file()
