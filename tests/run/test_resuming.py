"""A damaged checkpoint or codebook: one line before any work, with the last good one offered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from rv_edit.cli import one_line
from rv_edit.editors.sealing import seal
from rv_edit.run import run
from rv_edit.tasks.checks import check_options, made_anew
from tests.run.test_run import results

Composed = Callable[..., DictConfig]


def checkpoint(path: Path, edits: int) -> Path:
    content: dict[str, Any] = {"global_step": edits, "state_dict": {"memory.keys": torch.zeros(edits, 3)}}
    seal(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def tamper(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["state_dict"]["memory.keys"] += 1
    torch.save(content, path)


@pytest.mark.parametrize("damage", [cut, tamper])
def test_the_last_good_checkpoint_is_offered(
    composed: Composed, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    folder = tmp_path / "out/checkpoints"
    last = checkpoint(folder / "last.ckpt", 75)
    newer, older = checkpoint(folder / "edit-000075.ckpt", 75), checkpoint(folder / "edit-000050.ckpt", 50)
    assert check_options(composed("resume=last")).resume == last
    for bad, good, edits in ((last, newer, 75), (newer, older, 50)):
        damage(bad)
        with pytest.raises(ValueError, match=f"the last good one has {edits} edits: resume={good}") as caught:
            check_options(composed("resume=last"))
        line = one_line(caught.value)
        assert line is not None and "\n" not in line and line.startswith("resume=last: ") and str(last) in line
    # what is offered can be given as it stands
    assert check_options(composed(f"resume={older}")).resume == older
    damage(older)
    with pytest.raises(ValueError, match="no good one beside it; start the run anew"):
        check_options(composed("resume=last"))


def test_a_damaged_one_that_is_named_is_refused_too(composed: Composed, tmp_path: Path) -> None:
    bad, good = checkpoint(tmp_path / "one.ckpt", 5), checkpoint(tmp_path / "two.ckpt", 3)
    cut(bad)
    with pytest.raises(ValueError, match=f"resume={good}"):
        check_options(composed(f"resume={bad}"))


def test_a_damaged_codebook_is_made_anew_from_the_checkpoint(composed: Composed, tmp_path: Path) -> None:
    run(composed("callbacks.checkpoint.every_n_edits=6"))
    book = tmp_path / "out/codebook"
    whole = {name: (book / name).read_bytes() for name in ("codebook.safetensors", "codebook.jsonl")}
    checksum = results(tmp_path / "out")["codebook"]["checksum"]
    for name, data in whole.items():
        for changed in (data[: len(data) // 2], data[:-60] + bytes([data[-60] ^ 1]) + data[-59:]):
            (book / name).write_bytes(changed)
            with pytest.raises(ValueError, match=r"codebook") as caught:
                run(composed("dataset.edits=0", f"codebook={book}", out="next"))
            line = one_line(caught.value)
            assert line is not None and "\n" not in line
            assert f"of 6 edits: hydra.run.dir={tmp_path / 'out'} resume=last" in line
        (book / name).write_bytes(data)
    (book / "codebook.safetensors").write_bytes(b"")
    run(composed("callbacks.checkpoint.every_n_edits=6", "resume=last"))
    assert results(tmp_path / "out")["codebook"]["checksum"] == checksum
    assert {name: (book / name).read_bytes() for name in whole} == whole
    cut(tmp_path / "out/checkpoints/last.ckpt")
    assert f"resume={tmp_path / 'out/checkpoints/edit-000006.ckpt'}" in made_anew(book)


def test_another_key_space_is_no_damage(composed: Composed, tmp_path: Path) -> None:
    """Nothing is offered that would not help."""
    run(composed("callbacks.checkpoint.every_n_edits=6"))
    book = tmp_path / "out/codebook"
    with pytest.raises(ValueError, match="key space|lam") as caught:
        run(composed("dataset.edits=0", f"codebook={book}", "editor.lam=3.0", out="next"))
    assert "resume" not in str(caught.value)
