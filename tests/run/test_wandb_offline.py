"""A W&B run that never meets a server holds everything: figures by edit, options, table, codebook, rounds."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig
from wandb.proto import wandb_internal_pb2

from rv_edit.run import run
from tests.run.test_run import results

BLOCK, HEAD, FILE_HEAD = 32768, 7, 7
"""Bytes of LevelDB's log format, in which the client writes."""


def chunks(data: bytes) -> Iterator[bytes]:
    """The records of a log, put together where they go over the end of a block."""
    assert data.startswith(b":W&B")
    place, parts = FILE_HEAD, []
    while place < len(data):
        left = BLOCK - place % BLOCK
        if left < HEAD:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + HEAD])
        parts.append(data[place + HEAD : place + HEAD + length])
        place += HEAD + length
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


def records(folder: Path) -> list[Any]:
    """What the client wrote for ``wandb sync``."""
    (path,) = folder.rglob("offline-run-*/*.wandb")
    found = []
    for data in chunks(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        found.append(record)
    return found


def items(update: Any) -> dict[str, Any]:
    """Names and values of a record."""
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in update}


def test_an_offline_run_is_complete(
    composed: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    run(composed("logger=wandb", "logger.mode=offline", "sequential.every=4", "sequential.edits=3"))
    told = records(tmp_path / "out")
    rows = [items(record.history.item) for record in told if record.HasField("history")]
    by_edit = [row for row in rows if "edit_seconds" in row]
    assert [row["trainer/global_step"] for row in by_edit] == list(range(1, 7)), "a point for each edit"
    assert all(row["keys"] > 0 and row["kb"] > 0 for row in by_edit)
    rounds = [row for row in rows if "sequential/acc" in row]
    found = results(tmp_path / "out")
    assert [row["sequential/edits"] for row in rounds] == [4, 6] == [row["trainer/global_step"] for row in rounds]
    for row, point in zip(rounds, found["curve"], strict=True):
        assert row["sequential/t_gen"] == point["metrics"]["t_gen"]["mean"]
        assert row["sequential/accept/acc"] == point["accept_rate"]["acc"]
    (after,) = (row for row in rows if "test/acc" in row)
    assert after["test/acc"] == found["after"]["acc"]["mean"] and after["trainer/global_step"] == 6
    (table,) = (row["edits"] for row in rows if isinstance(row.get("edits"), dict))
    assert table["_type"] == "table-file" and table["nrows"] == 6
    folder = next((tmp_path / "out").rglob("offline-run-*"))
    shown = json.loads((folder / "files" / table["path"]).read_text())
    assert {"image", "question", "before", "after", "facts"} <= set(shown["columns"])
    pictures = [row[shown["columns"].index("image")] for row in shown["data"]]
    assert all((folder / "files" / picture["path"]).is_file() for picture in pictures)
    options: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    for record in told:
        if record.HasField("config"):
            options |= items(record.config.update)
        if record.HasField("run"):
            options |= items(record.run.config.update)
        if record.HasField("summary"):
            summary |= items(record.summary.update)
    assert options["editor"]["codebook"]["k"] == 5 and options["seed"] == 0
    assert summary["kb_per_edit"] == found["kb_per_edit"] and "test/mean" in summary
    books = [record.artifact for record in told if record.HasField("artifact")]
    books += [record.request.log_artifact.artifact for record in told if record.request.HasField("log_artifact")]
    (book,) = (one for one in books if one.type == "codebook")
    assert json.loads(book.metadata)["checksum"] == found["codebook"]["checksum"]
    import wandb

    assert not wandb.Settings().x_disable_stats, "system figures are W&B's own, and on"
