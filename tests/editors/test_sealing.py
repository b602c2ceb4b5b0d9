"""Checkpoints that were cut off or changed are noticed, whatever was changed; whole ones are read."""

from __future__ import annotations

import copy
import math
import random
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from data_modules.stream import EditStreamDataModule
from rv_edit.editors.callbacks import EditCheckpoint
from rv_edit.editors.module import EditorModule
from rv_edit.editors.reasonedit import ReasonEdit
from rv_edit.editors.sealing import SEAL, digest, edits_in, newest_sealed, read_sealed, seal
from rv_edit.errors import ConfigError
from tests.editors.test_module import edits, trainer

Maker = Callable[..., ReasonEdit]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def folder(make_editor: Maker, tmp_path: Path) -> Path:
    """The checkpoints of a run of five edits, as a run writes them."""
    run = trainer(tmp_path, EditCheckpoint(1, str(tmp_path)))
    run.fit(EditorModule(make_editor()), datamodule=EditStreamDataModule(edits(5)))
    return tmp_path


def test_the_last_two_are_kept_and_whole(folder: Path) -> None:
    assert sorted(path.name for path in folder.glob("*.ckpt")) == ["edit-000004.ckpt", "edit-000005.ckpt", "last.ckpt"]
    for name, made in (("edit-000004", 4), ("edit-000005", 5), ("last", 5)):
        found = read_sealed(folder / f"{name}.ckpt")
        assert edits_in(found) == len(found["receipts"]) == made
    assert newest_sealed(folder, but=folder / "last.ckpt") == (folder / "edit-000005.ckpt", 5)
    # every part is under the seal, Lightning's own too
    whole = torch.load(folder / "last.ckpt", weights_only=True)
    held = whole.pop(SEAL)
    for name in whole:
        assert digest({key: value for key, value in whole.items() if key != name}) != held, name


def test_a_truncated_one_is_refused_and_the_next_is_found(folder: Path) -> None:
    data = (folder / "last.ckpt").read_bytes()
    for length in (0, 10, len(data) // 2, len(data) - 1):
        (folder / "last.ckpt").write_bytes(data[:length])
        with pytest.raises(ConfigError, match=r"last\.ckpt: truncated or damaged") as caught:
            read_sealed(folder / "last.ckpt")
        assert "\n" not in str(caught.value)
    (folder / "edit-000005.ckpt").write_bytes(b"nothing")
    assert newest_sealed(folder) == (folder / "edit-000004.ckpt", 4)
    (folder / "edit-000004.ckpt").unlink()
    assert newest_sealed(folder) is None


def test_bytes_changed_anywhere_are_noticed_or_do_not_matter(folder: Path) -> None:
    path = folder / "last.ckpt"
    data, whole = path.read_bytes(), digest(read_sealed(path))
    noticed = 0
    for turn in range(60):
        draw = random.Random(turn)
        changed = bytearray(data)
        for _ in range(3):
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        said = ""
        try:
            found = digest(read_sealed(path))
        except ConfigError as error:
            found, said = whole, str(error)
        assert found == whole, "another content passed"
        assert "\n" not in said
        noticed += bool(said)
    assert noticed > 20


def test_a_key_or_a_receipt_replaced_is_noticed(folder: Path) -> None:
    path = folder / "last.ckpt"
    for change in (change_key, change_receipt, change_step, drop_seal):
        found = torch.load(folder / "edit-000005.ckpt", weights_only=True)
        change(found)
        torch.save(found, path)
        with pytest.raises(ConfigError, match="was changed after it was written|has no seal"):
            read_sealed(path)


def change_key(found: dict[str, Any]) -> None:
    found["state_dict"]["memory.keys"][0, 0] += 1


def change_receipt(found: dict[str, Any]) -> None:
    found["receipts"][1]["keys_added"] += 1


def change_step(found: dict[str, Any]) -> None:
    found["global_step"] -= 1


def drop_seal(found: dict[str, Any]) -> None:
    del found[SEAL]


VALUE: dict[str, Any] = {
    "a": [1, 2.5, "x", None, True, (), {"n": math.inf}],
    "b": torch.arange(6).reshape(2, 3),
    "c": torch.zeros(0, 4, dtype=torch.float16),
}
OTHERS: list[Callable[[dict[str, Any]], Any]] = [
    lambda value: value["a"].__setitem__(0, 1.0),
    lambda value: value["a"].__setitem__(4, 1),
    lambda value: value["a"].__setitem__(3, "None"),
    lambda value: value["a"].pop(),
    lambda value: value["a"][6].update(m=0),
    lambda value: value.update(b=value["b"].reshape(3, 2)),
    lambda value: value.update(b=value["b"].to(torch.int32)),
    lambda value: value.update(c=torch.zeros(0, 5, dtype=torch.float16)),
    lambda value: value.update(b=value["b"].flip(0)),
    lambda value: value.update(d=value.pop("c")),
]


@pytest.mark.parametrize("place", range(len(OTHERS)))
def test_other_content_has_another_digest(place: int) -> None:
    other = copy.deepcopy(VALUE)
    OTHERS[place](other)
    assert digest(other) != digest(VALUE)


def test_order_and_kind_of_mapping_do_not_matter(tmp_path: Path) -> None:
    turned = OrderedDict(reversed(list(VALUE.items())))
    assert digest(turned) == digest(VALUE)
    sealed = {**VALUE}
    seal(sealed)
    torch.save(sealed, tmp_path / "one.ckpt")
    assert digest(read_sealed(tmp_path / "one.ckpt")) == digest(VALUE)
    seal(sealed)  # again, as a checkpoint that was loaded and is saved again
    assert sealed[SEAL] == digest(VALUE)
