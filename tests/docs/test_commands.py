"""Every fenced command of README, CONTRIBUTING and docs/ is one that its program takes; what is new must be listed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hydra.errors import HydraException

from tests.docs.commands import ELSEWHERE, Unlisted, check, overrides
from tests.docs.pages import COMMANDS, Block, blocks, inline, pages, read
from tests.docs.shell import called

LISTINGS = {("README.md", "run.py          the command line"): "the folders of the project"}
"""Blocks without a language that hold no command: page and first line."""
SHOWN = {
    ("docs/python_api.md", "vlm = EditedVLM.from_pretrained"): "names a checkpoint that is the reader's; "
    "own_model_and_data.md has the same on a tiny one",
}
"""Blocks marked as text although they hold code: page and beginning, and why they are not run."""
CODE = re.compile(r"^\s*(python|rv-edit|make|pip|hf|curl|import|from \w+ import|\w+ = |vlm\.)\b", re.MULTILINE)
FILES = {
    "docs/adding_an_editor.md": "tests/editors/test_adding_an_editor.py",
    "docs/adding_a_vlm.md": "tests/vlm/test_fourth_family.py",
}
"""Pages whose blocks are files, and the test that puts them where they belong and runs them."""
PYTHON = {
    "README.md": "tests/docs/test_python.py",
    "docs/quickstart.md": "tests/docs/test_python.py",
    "docs/own_model_and_data.md": "tests/docs/test_python.py",
    "docs/metrics.md": "tests/docs/test_python.py",
    "docs/gpus_and_sweeps.md": "tests/docs/test_python.py",
    "docs/safety.md": "tests/docs/test_python.py",
    "docs/python_api.md": "tests/test_docs.py",
    "docs/service.md": "tests/test_docs.py",
}
"""Pages with Python blocks, and the test that runs all of them in order."""


def check_all(code: str, folder: Path) -> None:
    """Check every command of a block."""
    calls = called(code, folder)
    assert calls, f"no command in it; call it text, or list it in LISTINGS: {code}"
    for argv in calls:
        check(argv)


def commands() -> list[Block]:
    """Blocks of commands."""
    return [block for block in blocks() if block.language in COMMANDS and not listing(block)]


def listing(block: Block) -> bool:
    return any(block.page == page and block.code.startswith(start) for page, start in LISTINGS)


@pytest.mark.parametrize("block", commands(), ids=str)
def test_commands_are_taken(block: Block, tmp_path: Path) -> None:
    check_all(block.code, tmp_path)


@pytest.mark.parametrize("page", [page for page in pages() if inline(page)])
def test_commands_in_sentences_are_taken(page: str, tmp_path: Path) -> None:
    check_all("\n".join(inline(page)), tmp_path)


def test_every_block_has_a_home() -> None:
    """Nothing slips through by its language, and no list outlives what it lists."""
    known = {*COMMANDS, "python", "json", "yaml", "text"}
    strange = [f"{block}: {block.language}" for block in blocks() if block.language not in known]
    assert not strange, strange
    hidden = [
        str(block)
        for block in blocks()
        if block.language == "text"
        and CODE.search(block.code)
        and not any(block.page == page and block.code.startswith(start) for page, start in SHOWN)
    ]
    assert not hidden, f"code called text, so nobody runs it; say why in SHOWN: {hidden}"
    for page, start in (*LISTINGS, *SHOWN):
        assert any(block.page == page and block.code.startswith(start) for block in blocks()), f"{page}: no {start}"


def test_every_page_with_python_is_run_by_a_test() -> None:
    files = {block.page for block in blocks() if block.file}
    assert files == set(FILES)
    assert {block.page for block in blocks() if block.language == "python" and not block.file} == set(PYTHON)
    for page, test in {**FILES, **PYTHON}.items():
        assert page.rpartition("/")[2] in read(test), f"{test} does not read {page}"
    loose = [str(block) for block in blocks() if block.language == "yaml" and not block.file]
    assert not loose, f"options that no test puts into conf/: {loose}"


def test_records_of_the_pages_are_good_edits(tmp_path: Path) -> None:
    """Every JSON block is an edit of one's own, as it would stand in ``edits.jsonl``."""
    from PIL import Image

    from data_modules.own_edits import read_own

    shown = [block for block in blocks() if block.language == "json"]
    assert len(shown) >= 2
    for number, block in enumerate(shown):
        edit = json.loads(block.code)
        folder = tmp_path / str(number)
        picture = folder / edit["image"]
        picture.parent.mkdir(parents=True)
        Image.new("RGB", (640, 480)).save(picture)
        (folder / "edits.jsonl").write_text(" ".join(block.code.split("\n")) + "\n", encoding="utf-8")
        (read_edit,) = read_own(folder)
        assert read_edit.answer == edit["answer"] and list(read_edit.reasoning) == edit["reasoning"], block


@pytest.mark.parametrize(
    ("code", "said", "error"),
    [
        ("python run.py dataset.edit=3", "dataset.edit", HydraException),
        ("python run.py -m editor=ft,nothing", "nothing", HydraException),
        ("python run.py model.key_space={layer:3,lam:1.0}", "given twice", AssertionError),
        ("python benchmarks/criterion.py --edit 3", "--edit", AssertionError),
        ("python benchmarks/nothing.py", "nothing.py", AssertionError),
        ("make everything", "everything", AssertionError),
        ("make test TESTS=tests/nothing", "tests/nothing", AssertionError),
        ("pip install -e '.[everything]'", "everything", AssertionError),
        ("for i in 0 1; do python run.py seed=$i sed=$i; done", "sed", HydraException),
        ("wget address", "wget", Unlisted),
        ("python run.py && (", "bash cannot read it", AssertionError),
    ],
)
def test_mistakes_are_found(code: str, said: str, error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error, match=re.escape(said)):
        check_all(code, tmp_path)


def test_bash_is_read_as_bash_reads_it(tmp_path: Path) -> None:
    code = "R=a\nfor s in x y; do\n  curl -O 'u/$s'${s} && unzip $R/{p,q} & done; wait\n"
    code += "python run.py <the folder> \\\n  … b=…"
    calls = called(code, tmp_path)
    assert sorted(calls[:-1]) == [
        ["curl", "-O", "u/$sx"], ["curl", "-O", "u/$sy"], ["unzip", "a/p", "a/q"], ["unzip", "a/p", "a/q"],
    ]  # fmt: skip
    assert calls[-1] == ["python", "run.py", "placeholder", "b=placeholder"]


def test_sweeps_are_every_combination() -> None:
    assert overrides(["--cfg", "job", "a=1,2"]) == [["a=1,2"]]
    assert overrides(["-m", "a=1,2", "b=x,y", "c=[1,2]"]) == [
        ["a=1", "b=x", "c=[1,2]"], ["a=1", "b=y", "c=[1,2]"], ["a=2", "b=x", "c=[1,2]"], ["a=2", "b=y", "c=[1,2]"],
    ]  # fmt: skip


def test_no_reason_is_left_over(tmp_path: Path) -> None:
    """What ELSEWHERE excuses is used somewhere, apart from what the pages of tools bring."""
    used = set()
    for number, block in enumerate(commands()):
        (folder := tmp_path / str(number)).mkdir()
        used |= {argv[0].rpartition("/")[2] for argv in called(block.code, folder)}
    assert set(ELSEWHERE) <= used, sorted(set(ELSEWHERE) - used)
