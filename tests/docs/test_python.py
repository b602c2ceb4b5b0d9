"""The Python blocks of the pages run, all of a page in order.

README.md, quickstart.md, own_model_and_data.md and others; ``tests/test_docs.py`` has python_api.md and service.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rv_edit import EditedVLM
from rv_edit.composing import compose_parts
from rv_edit.report import write_run
from tests.docs.pages import blocks
from tests.report.synthetic import make_run
from tests.run.tiny_data import picture


def run(page: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run a page's blocks with ``names`` in reach; what they define comes back."""
    for block in blocks():
        if block.page == page and block.language == "python" and not block.file:
            exec(compile(block.code, str(block), "exec"), names)
    return names


@pytest.fixture(scope="module")
def shipped() -> EditedVLM:
    """The model that the package brings, loaded once."""
    return EditedVLM.from_pretrained(compose_parts([], ("model",))["model"]["name"])


@pytest.fixture
def here(shipped: EditedVLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in; the model of the package is not loaded once more."""
    load = EditedVLM.from_pretrained

    def loaded(name: str, **options: Any) -> EditedVLM:
        known = name == shipped.base.option and not options
        return EditedVLM(shipped.state, shipped.base) if known else load(name, **options)

    monkeypatch.setattr(EditedVLM, "from_pretrained", loaded)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_readme(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.radial_gradient("L").convert("RGB").save(here / "photo.jpg")
    names = run("README.md", {})
    assert len(capsys.readouterr().out.splitlines()) == 2
    (made,) = names["vlm"].edits
    assert made.answer == "purring" and len(made.reasoning) == 2
    assert (here / "my_edits/codebook.safetensors").is_file()


def test_quickstart(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run("docs/quickstart.md", {})
    wrong = names["wrong"]
    asked, answered, *told = capsys.readouterr().out.splitlines()
    assert asked.startswith(wrong.question) and not asked.endswith(f"-> {wrong.answer}")
    assert answered.startswith(f"{wrong.answer} ("), "an edit that does not correct the answer"
    assert len(told) > 3 and not names["vlm"].edits


def test_own_model_then_what_others_saved(
    here: Path, vlm_folder: Path, encoder_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {
        "model": vlm_folder,
        "encoder": encoder_folder,
        "pictures": [picture(seed).open() for seed in range(8)],
        "questions": [f"What colour is lamp {seed}?" for seed in range(8)],
    }
    names = run("docs/own_model_and_data.md", own)
    assert "mites" in capsys.readouterr().out and len(names["vlm"].edits) == 1
    run("docs/safety.md", {"edits": "my_edits"})
    assert "Pale dots are signs of mites." in capsys.readouterr().out


def test_metrics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_run()
    write_run(tmp_path / "run", made)
    names = run("docs/metrics.md", {"run": str(tmp_path / "run")})
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said[: len(made.metrics["after"])]] == list(made.metrics["after"])
    lost = [row for row in made.rows if row.is_right(row.before) and not row.right]
    assert len(names["lost"]) == len(lost) > 0 and len(names["answers"]) == len(made.rows)


def test_sweeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        write_run(tmp_path / str(number), make_run(seed=number))
    run("docs/gpus_and_sweeps.md", {"sweep": tmp_path})
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == ["0", "1"] and all("'acc': " in line for line in said)


def test_a_block_that_fails_names_its_place() -> None:
    with pytest.raises(NameError) as caught:
        run("docs/metrics.md", {})
    assert any("docs/metrics.md:" in str(frame.path) for frame in caught.traceback)
