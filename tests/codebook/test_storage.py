import errno
import json
import os

import pytest
import torch
from safetensors import safe_open

from rv_edit.codebook import Codebook, storage
from rv_edit.errors import ConfigError
from tests.codebook.streams import random_book
from tests.codebook.test_state import SENTENCE, full_book, same

FILES = ("codebook.safetensors", "codebook.jsonl")


@pytest.mark.parametrize("exact_keys", [5, 2048])
def test_saved_and_loaded_is_the_same(tmp_path, exact_keys):
    book = full_book(exact_keys=exact_keys, k=3)
    book.save(tmp_path / "new" / "folder")
    loaded = Codebook.load(tmp_path / "new" / "folder", expect_fingerprint=book.fingerprint)
    same(book, loaded)
    assert loaded.retrieving == book.retrieving
    assert sorted(os.listdir(tmp_path / "new" / "folder")) == sorted(FILES)
    book.undo("e2")
    loaded.undo("e2")
    same(book, loaded)


def test_an_empty_codebook_can_be_saved(tmp_path):
    Codebook(7).save(tmp_path)
    assert len(Codebook.load(tmp_path)) == 0


def test_the_files_can_be_read_without_us(tmp_path):
    book = full_book()
    book.save(tmp_path)
    records = [json.loads(line) for line in (tmp_path / FILES[1]).read_text(encoding="utf-8").splitlines()]
    assert records[0]["record"] == "codebook"
    assert records[0]["fingerprint"] == book.fingerprint
    sentences = [record for record in records if record["record"] == "sentence"]
    assert sentences[-1]["text"] == SENTENCE
    assert sentences[-1]["provenance"] == {"image": "a", "question": "q", "answer": "b"}
    assert "喵 🐈‍⬛" in (tmp_path / FILES[1]).read_text(encoding="utf-8")
    assert [tuple(record["values"]) for record in records if record["record"] == "key"] == list(book.values)
    with safe_open(tmp_path / FILES[0], framework="pt") as file:
        assert torch.equal(file.get_tensor("keys"), book.keys)


def test_options_change_how_it_retrieves_only(tmp_path):
    full_book().save(tmp_path)
    assert Codebook.load(tmp_path, k=1, gate="none").retrieving.k == 1
    with pytest.raises(ConfigError, match="merged by other rules"):
        Codebook.load(tmp_path, merge="off")
    with pytest.raises(ConfigError, match="unknown option 'speed'"):
        Codebook.load(tmp_path, speed=2)


def test_another_key_space_is_named(tmp_path):
    full_book().save(tmp_path)
    with pytest.raises(ConfigError, match=r"codebook .*: of another key space \(layer: stored 2, here 5\)") as caught:
        Codebook.load(tmp_path, expect_fingerprint={"layer": 5, "model": {"name": "m"}})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "flipped", "foreign"])
def test_a_damaged_pair_of_files_is_refused_in_one_line(tmp_path, name, damage):
    full_book().save(tmp_path)
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "foreign":
        random_book(10).save(tmp_path / "other")
        os.replace(tmp_path / "other" / name, path)
    else:
        data[-20] ^= 1
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "flipped": bytes(data)}[damage])
    with pytest.raises(ConfigError, match=r"codebook .*: .*") as caught:
        Codebook.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_codebook_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no codebook.safetensors there; give the folder"):
        Codebook.load(tmp_path / "nowhere")


def test_a_newer_schema_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("rv_edit.codebook.codec.SCHEMA", 2)
    full_book().save(tmp_path)
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="schema 2, expected 1"):
        Codebook.load(tmp_path)


@pytest.mark.parametrize("failing", [0, 1])
def test_a_full_disk_leaves_the_old_codebook(tmp_path, monkeypatch, failing):
    old, new = random_book(4), full_book()
    old.save(tmp_path)
    calls = []

    def write(path, data):
        calls.append(path)
        path.write_bytes(data[: len(data) // 2])
        if len(calls) > failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        path.write_bytes(data)

    monkeypatch.setattr(storage, "_write", write)
    with pytest.raises(ConfigError, match="cannot be written .*No space left on device"):
        new.save(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(FILES)
    assert Codebook.load(tmp_path).checksum() == old.checksum()


@pytest.mark.parametrize("done", [0, 1])
@pytest.mark.parametrize("first", [True, False])
def test_a_crash_between_the_renames_loses_neither_codebook(tmp_path, monkeypatch, done, first):
    old, new = random_book(4), full_book()
    if not first:
        old.save(tmp_path)
    replace, calls = os.replace, []

    def crash(source, target):
        if len(calls) == done:
            raise KeyboardInterrupt
        calls.append(target)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            new.save(tmp_path)
    if first and not done:
        with pytest.raises(ConfigError, match="no codebook.safetensors there"):
            Codebook.load(tmp_path)
    else:
        assert Codebook.load(tmp_path).checksum() == (new if done else old).checksum()
    new.save(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(FILES)
    assert Codebook.load(tmp_path).checksum() == new.checksum()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        random_book(2).save(tmp_path / "file" / "below")
