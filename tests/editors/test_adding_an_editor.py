"""``docs/adding_an_editor.md`` is followed to the letter: its two files, copied to their places, pass the contract."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rv_edit.editors.base import Capabilities
from tests.copied_tree import followed, python
from tests.editors import test_every_editor
from tests.editors.collected import NAMES, NEEDS, PROMISES
from tests.source_tree import ROOT

NAME = "notebook"
FILES = {f"rv_edit/editors/{NAME}.py", f"conf/editor/{NAME}.yaml"}
CONTRACT = Path(test_every_editor.__file__).relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, without what is large, and the page's files in it."""
    folders = ("rv_edit", "data_modules", "conf", "tests/editors", "tests/vlm", "tests/embedding", "tests/run")
    files = (
        "pyproject.toml",
        "tests/conftest.py",
        "tests/source_tree.py",
        "tests/copied_tree.py",
        "tests/helpers_ddp.py",
    )
    return followed(tmp_path_factory.mktemp("editor"), "adding_an_editor.md", FILES, folders, files)


def contract(tree: Path, chosen: str) -> subprocess.CompletedProcess[str]:
    """Run those cases of the contract on the copy."""
    return python(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, CONTRACT)


def test_the_editor_is_new() -> None:
    assert NAME not in NAMES


def test_it_passes_all_of_the_contract_that_concerns_it(tree: Path) -> None:
    can = Capabilities(undo=True)
    concerned = sum(NEEDS[needs](can) for needs, _ in PROMISES.values()) + 1  # and refuses what it cannot do
    assert concerned > 8
    done = contract(tree, NAME)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    last = done.stdout.strip().splitlines()[-1]
    assert re.match(rf"{concerned} passed, \d+ deselected", last), last


@pytest.mark.soak
@pytest.mark.parametrize(
    ("right", "wrong", "case"),
    [
        ("(question.image.sha, question.text)) for", "next(iter(found))) for", "test_out_of_scope"),
        ("json.loads(state.numpy().tobytes())", "json.loads(state.numpy().tobytes())[:1]", "test_saved_and_loaded"),
        ("question.text)) for", "question.choices[0])) for", "test_an_edit_takes"),
    ],
)
def test_a_wrong_editor_fails_it(tree: Path, tmp_path: Path, right: str, wrong: str, case: str) -> None:
    """The contract is no formality: notes put before every question, a line lost, a look at the choices."""
    other = tmp_path / "wrong"
    shutil.copytree(tree, other)
    file = other / f"rv_edit/editors/{NAME}.py"
    text = file.read_text(encoding="utf-8")
    assert text.count(right) == 1
    file.write_text(text.replace(right, wrong), encoding="utf-8")
    done = contract(other, f"{NAME} and {case}")
    assert done.returncode == 1 and "1 failed" in done.stdout.splitlines()[-1], done.stdout[-3000:]
