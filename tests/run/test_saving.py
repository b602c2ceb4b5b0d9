"""A codebook and its report are replaced together or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_modules.records import EditReceipt
from rv_edit.errors import ConfigError
from rv_edit.tasks.saving import RECEIPTS, saved_receipts, saved_together


class Saves:
    """An editor as far as saving goes."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def save(self, folder: Path) -> Path | None:
        for name, text in self.files.items():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder if self.files else None


RECEIPT = EditReceipt("one", 1, 2, 0.5, 100)


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "codebook"
    folder.mkdir()
    (folder / "codebook.jsonl").write_text("old")
    return folder


def test_both_are_new_afterwards(place: Path) -> None:
    editor = Saves({"codebook.jsonl": "new", "codebook.safetensors": "numbers"})
    with saved_together(editor, [RECEIPT], place) as folder:  # type: ignore[arg-type]
        assert content(place)["codebook.jsonl"] == "old"
    assert folder == place and content(place)["codebook.jsonl"] == "new"
    assert saved_receipts(place) == [RECEIPT] and sorted(content(place)) == [
        "codebook.jsonl",
        "codebook.safetensors",
        RECEIPTS,
    ]
    assert [path.name for path in place.parent.iterdir()] == ["codebook"]


@pytest.mark.parametrize("error", [ConfigError("full"), OSError("full"), RuntimeError("a bug"), KeyboardInterrupt()])
def test_a_report_that_fails_leaves_the_old_codebook(place: Path, error: BaseException) -> None:
    with (
        pytest.raises(ConfigError if isinstance(error, OSError) else type(error)),
        saved_together(Saves({"codebook.jsonl": "new"}), [], place),  # type: ignore[arg-type]
    ):
        raise error
    assert content(place.parent) == {"codebook/codebook.jsonl": "old"}


def test_nothing_to_save(place: Path, tmp_path: Path) -> None:
    for files, folder in (({}, place), ({"codebook.jsonl": "new"}, None)):
        with saved_together(Saves(files), [], folder) as saved:  # type: ignore[arg-type]
            assert saved is None
    assert content(tmp_path) == {"codebook/codebook.jsonl": "old"}


@pytest.mark.parametrize("text", ["[", "{}", '[{"edit_id": 1}]', "[3]"])
def test_damaged_receipts_are_one_line(place: Path, text: str) -> None:
    (place / RECEIPTS).write_text(text)
    if text == "{}":
        assert saved_receipts(place) == []
    else:
        with pytest.raises(ConfigError, match="damaged"):
            saved_receipts(place)
