"""Edits in a folder: there and back, over the right model only, described for others, and nothing in them runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rv_edit import EditedVLM
from rv_edit.api.folder import FILES
from rv_edit.errors import ConfigError
from tests.api.conftest import COLOURS, say
from tests.editors.conftest import picture
from tests.vlm.tiny_llava import build

Fresh = Callable[[], EditedVLM]


@pytest.fixture
def edited(fresh: Fresh) -> EditedVLM:
    vlm = fresh()
    say(vlm, 1, author="Ada")
    say(vlm, 2, author="Bob <script>alert(1)</script>")
    return vlm


def change(folder: Path, **values: Any) -> None:
    stored = json.loads((folder / "rv_edit.json").read_text())
    for path, value in values.items():
        place = stored
        *parents, last = path.split("__")
        for parent in parents:
            place = place[parent]
        place[last] = value
    (folder / "rv_edit.json").write_text(json.dumps(stored))


def test_saved_edits_bring_their_model_and_options(edited: EditedVLM, tmp_path: Path) -> None:
    edited.save_pretrained(tmp_path / "mine", licence="cc-by-4.0")
    assert {path.name for path in (tmp_path / "mine").iterdir()} == set(FILES)
    assert sum(path.stat().st_size for path in (tmp_path / "mine").iterdir()) < 100_000
    again = EditedVLM.from_pretrained(tmp_path / "mine", overrides=["model.vlm.dtype=float32"])
    assert again.state.editor.checksum() == edited.state.editor.checksum()
    assert again.edits == edited.edits and again.licence == "cc-by-4.0" and again.base == edited.base
    assert again.state.editor.codebook.retrieving == edited.state.editor.codebook.retrieving
    question = (picture(1), "What colour is lamp 1?", COLOURS)
    assert again.ask(*question) == edited.ask(*question)
    say(again, 3)
    say(edited, 3)
    assert again.state.editor.checksum() == edited.state.editor.checksum()
    again.save_pretrained(tmp_path / "mine")
    assert len(EditedVLM.from_pretrained(tmp_path / "mine", overrides=["model.vlm.dtype=float32"]).edits) == 3
    other = EditedVLM.from_pretrained(
        tmp_path / "mine",
        overrides=["model.vlm.dtype=float32", "editor.codebook.k=2", "editor.codebook.gate=percentile"],
    )
    assert other.state.editor.codebook.retrieving.k == 2


def test_another_model_or_revision_is_refused_with_the_reason(
    edited: EditedVLM, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, tiny: list[str]
) -> None:
    folder = edited.save_pretrained(tmp_path / "mine")
    revised = build(tmp_path_factory.mktemp("revised"), seed=1)
    for attempt in (
        lambda: EditedVLM.from_pretrained(folder, model=revised, overrides=["model.vlm.dtype=float32"]),
        lambda: EditedVLM.from_pretrained(revised, edits=folder, overrides=tiny),
    ):
        with pytest.raises(ConfigError, match="load them over the model and revision they were made on") as caught:
            attempt()
        said = str(caught.value)
        assert str(revised) in said and edited.base.name in said and "weights" in said and "\n" not in said
        assert edited.state.editor.embedding.fingerprint["base_model"] in said
    moved = shutil.copytree(edited.base.name, tmp_path / "moved")
    again = EditedVLM.from_pretrained(folder, model=moved, overrides=["model.vlm.dtype=float32"])
    assert again.edits == edited.edits


def test_the_card_says_what_is_known(edited: EditedVLM, tmp_path: Path) -> None:
    card = (edited.save_pretrained(tmp_path / "a", licence="cc-by-4.0") / "README.md").read_text()
    assert 'license: "cc-by-4.0"' in card and "2 corrections" in card and "Not measured" in card
    assert edited.state.editor.embedding.fingerprint["base_model"] in card and "Ada" in card
    assert "<script>" not in card and "What colour is lamp 1?" in card
    assert str(Path(edited.base.name).parent) not in card, "a path of this machine"
    metrics = {"acc": {"before": 0.0, "after": 0.875}, "loc": {"before": 1.0, "after": 0.5}}
    folder = edited.save_pretrained(tmp_path / "a", metrics=metrics)
    assert "| Acc, the corrected questions | 0.000 | 0.875 |" in (folder / "README.md").read_text()
    again = EditedVLM.from_pretrained(folder, overrides=["model.vlm.dtype=float32"])
    assert "0.875" in (again.save_pretrained(tmp_path / "b") / "README.md").read_text()
    say(again, 3)
    card = (again.save_pretrained(tmp_path / "b") / "README.md").read_text()
    assert "0.875" not in card and "Not measured" in card, "metrics of other edits"


def test_metrics_of_a_run_are_taken_with_its_codebook(edited: EditedVLM, tmp_path: Path, tiny: list[str]) -> None:
    run = tmp_path / "run"
    edited.state.editor.save(run / "codebook")
    results = {
        "before": {"acc": {"mean": 0.0}, "loc": {"mean": None}},
        "after": {"acc": {"mean": 0.75}, "loc": {"mean": 0.5}},
        "codebook": {"checksum": edited.state.editor.checksum()},
    }
    (run / "results.json").write_text(json.dumps(results))
    with pytest.raises(ConfigError, match=r"does not name its model; from_pretrained\(<model>, edits="):
        EditedVLM.from_pretrained(run / "codebook")
    again = EditedVLM.from_pretrained(edited.base.name, edits=run / "codebook", overrides=tiny)
    assert [made.reasoning for made in again.edits] == [made.reasoning for made in edited.edits]
    card = (again.save_pretrained(tmp_path / "b") / "README.md").read_text()
    assert "0.750" in card and "Loc" not in card
    (run / "results.json").write_text(json.dumps({**results, "codebook": {"checksum": "other"}}))
    with pytest.raises(ConfigError, match="measured with other edits"):
        edited.save_pretrained(tmp_path / "c", metrics=run / "results.json")
    with pytest.raises(ConfigError, match="no codebook.safetensors there"):
        EditedVLM.from_pretrained(edited.base.name, edits=run, overrides=tiny)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"schema": 2}, "schema 2, expected 1"),
        ({"base": {"name": "x"}}, "damaged"),
        ({"base__name": 7}, "damaged"),
        ({"base__option": "../../evil"}, "no option here"),
        ({"metrics": {"values": 1}}, "damaged"),
        ({"fingerprint": 3}, "damaged"),
    ],
)
def test_damaged_folders_are_one_line(edited: EditedVLM, tmp_path: Path, values: dict, said: str) -> None:
    folder = edited.save_pretrained(tmp_path / "mine")
    change(folder, **values)
    with pytest.raises(ConfigError, match=said) as caught:
        EditedVLM.from_pretrained(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_cannot_name_code(edited: EditedVLM, tmp_path: Path) -> None:
    folder = edited.save_pretrained(tmp_path / "mine")
    evil = {"_target_": "tests.api.test_folder.never", "augment": {"_target_": "tests.api.test_folder.never"}}
    change(folder, base__editor={**edited.base.editor, **evil}, base__text_encoder=edited.base.text_encoder)
    again = EditedVLM.from_pretrained(folder, overrides=["model.vlm.dtype=float32"])
    assert again.edits == edited.edits
    change(folder, base__name="package://tests.api.conftest/x")
    with pytest.raises(ConfigError, match="said to lie in a package"):
        EditedVLM.from_pretrained(folder, overrides=["model.vlm.dtype=float32"])
    change(folder, base__name="${oc.env:HOME}")
    with pytest.raises(ConfigError, match="give an option"):
        EditedVLM.from_pretrained(folder)


def never(*_: object, **__: object) -> None:
    raise AssertionError("a folder of edits ran code")


def test_pushing_sends_these_files_and_no_path(
    edited: EditedVLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, Any] = {}

    class Hub:
        def __init__(self, token: str | None = None) -> None:
            sent["token"] = token

        def create_repo(self, repo_id: str, **options: Any) -> None:
            sent.update(options, repo_id=repo_id)

        def upload_folder(self, *, folder_path: str, allow_patterns: list[str], **options: Any) -> str:
            sent["files"] = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}
            return "commit"

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    assert edited.push_to_hub("ada/edits", token="secret", licence="cc0-1.0") == "commit"
    assert sent["private"] is True and sent["repo_id"] == "ada/edits" and set(sent["files"]) == set(FILES)
    everything = b"".join(sent["files"].values())
    assert b"secret" not in everything and str(Path(edited.base.name).parent).encode() not in everything
    monkeypatch.setattr(Hub, "create_repo", lambda *_, **__: (_ for _ in ()).throw(OSError("403\nForbidden")))
    with pytest.raises(ConfigError, match="push_to_hub ada/edits: 403$"):
        edited.push_to_hub("ada/edits")


def test_edits_come_from_the_hub(edited: EditedVLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = edited.save_pretrained(tmp_path / "mine")
    asked: list[tuple[str, str | None]] = []

    def one(repo_id: str, name: str, revision: str | None = None) -> str:
        asked.append((repo_id, revision))
        return str(folder / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", one)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda repo_id, **_: str(folder))
    again = EditedVLM.from_pretrained("ada/edits", revision="v1", overrides=["model.vlm.dtype=float32"])
    assert again.edits == edited.edits and asked == [("ada/edits", "v1")]
