"""``docs/adding_a_vlm.md`` is followed to the letter: its three files, copied to their places, pass the contract."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from rv_edit.vlm import known_families
from tests.copied_tree import followed, python
from tests.vlm.test_collection import CASES, CONTRACT

NAME = "idefics3"
FILES = {f"rv_edit/vlm/{NAME}.py", f"conf/model/{NAME}.yaml", f"tests/vlm/tiny_{NAME}.py"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, without what is large, and the page's files in it."""
    folders = ("rv_edit", "data_modules", "conf", "tests/vlm")
    files = ("pyproject.toml", "tests/conftest.py", "tests/source_tree.py", "tests/copied_tree.py")
    return followed(tmp_path_factory.mktemp("fourth"), "adding_a_vlm.md", FILES, folders, files)


def test_the_family_is_new() -> None:
    assert NAME not in known_families()


def test_it_passes_the_whole_contract(tree: Path) -> None:
    tests = [f"tests/vlm/{name}" for name in CONTRACT]
    done = python(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", NAME, *tests)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    last = done.stdout.strip().splitlines()[-1]
    assert re.match(rf"{CASES} passed, \d+ deselected", last), last


@pytest.mark.soak
def test_a_wrong_adapter_fails_it(tree: Path, tmp_path: Path) -> None:
    """The contract is no formality: a picture shifted by one token is noticed."""
    wrong = tmp_path / "wrong"
    shutil.copytree(tree, wrong)
    file = wrong / f"rv_edit/vlm/{NAME}.py"
    right = file.read_text(encoding="utf-8")
    file.write_text(right.replace("tokens.clone()", "tokens.roll(1, 0)"), encoding="utf-8")
    assert file.read_text(encoding="utf-8") != right
    done = python(
        wrong, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", f"{NAME} and naive", "tests/vlm/test_scoring.py"
    )
    assert done.returncode == 1 and "1 failed" in done.stdout.splitlines()[-1], done.stdout[-3000:]


def test_its_options_compose_and_errors_name_it(tree: Path, tmp_path: Path) -> None:
    with initialize_config_dir(str(tree / "conf"), version_base="1.3"):
        model = compose("config", overrides=[f"model={NAME}"]).model
    assert model.vlm._target_ == "rv_edit.vlm.load_vlm" and model.key_space.layer >= 0
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    done = python(tree, "-c", f"from rv_edit.vlm import load_vlm; load_vlm({str(tmp_path)!r})")
    assert f"known families: {', '.join(sorted([*known_families(), NAME]))}" in done.stderr
