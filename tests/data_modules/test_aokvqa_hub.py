"""A-OKVQA as the hub has it: its features, its split names, pictures taken out once, and what can go wrong."""

from __future__ import annotations

import builtins
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import DatasetDict, Features, Image, Value
from datasets.exceptions import DatasetGenerationError

from data_modules import extracted
from data_modules.aokvqa_hub import HUB, direct_answers, read_aokvqa_hub
from data_modules.bundle import DataBundle
from data_modules.hub_tables import HubTable
from data_modules.qa_record import ReadReport
from data_modules.records import RecordError
from data_modules.sources import load_aokvqa, load_aokvqa_hub
from tests.data_modules.hub_files import AOKVQA, Row, as_arrow, as_parquet, jpeg, row, table, unanswered

Layout = Callable[..., Path]


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, the hub's library cannot be imported."""
    real = builtins.__import__

    def importing(name: str, *args: Any, **options: Any) -> Any:
        if name.split(".")[0] == "datasets":
            raise AssertionError("the hub's library is used")
        return real(name, *args, **options)

    return lambda: monkeypatch.setattr(builtins, "__import__", importing)


@pytest.mark.parametrize("layout", [as_parquet, as_arrow])
def test_both_layouts_field_by_field(layout: Layout, tmp_path: Path) -> None:
    root = layout(tmp_path / "copy", train=[row("t", 3)], validation=[row("v", 4), row("w", 4)], test=[unanswered("x")])
    report = ReadReport()
    records = read_aokvqa_hub(str(root), "train+val", cache=tmp_path / "cache", check_images=True, report=report)
    assert [record.id for record in records] == ["t", "v", "w"]
    first = records[0]
    assert (first.question, first.choices, first.answer) == ("What is it?", ("cat", "dog", "cow", "hen"), "cow")
    assert first.reasoning == ("It moos.", "It has horns.")
    assert first.extras["direct_answers"] == ["cow", 'the "cow"', "cow's"]
    assert first.extras["split"] == "train"
    assert "image" not in first.extras
    assert Path(str(first.image.path)).read_bytes() == jpeg(3)
    assert records[1].image == records[2].image
    assert (report.listed, report.pictures, report.kept) == (3, 2, 3)
    with pytest.raises(RecordError, match="none of 1 records can be used; the first: x: answer not among"):
        read_aokvqa_hub(str(root), "test", cache=tmp_path / "cache")


def test_taken_out_once_and_then_without_the_library(tmp_path: Path, no_library: Callable[[], None]) -> None:
    root = as_parquet(tmp_path / "copy", validation=[row("v", 4), row("w", 5)])
    first = read_aokvqa_hub(str(root), "val", cache=tmp_path / "cache")
    no_library()
    assert read_aokvqa_hub(str(root), "val", cache=tmp_path / "cache") == first
    (root / "data").joinpath("another.parquet").write_bytes(b"PAR1")  # another copy is not taken for this one
    with pytest.raises(RecordError, match="library is used"):
        read_aokvqa_hub(str(root), "val", cache=tmp_path / "cache")


def test_interrupted_at_any_row_it_goes_on_behind_the_last_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extracted, "PART", 3)
    root = as_parquet(tmp_path / "copy", validation=[row(f"q{place}", place) for place in range(10)])
    whole = [record.id for record in read_aokvqa_hub(str(root), "val", cache=tmp_path / "whole")]
    given: list[str] = []
    real = HubTable.rows
    for stop in (1, 4, 8, 99):

        def rows(self: HubTable, start: int = 0, stop: int = stop) -> Any:
            for place, found in enumerate(real(self, start), start):
                if place == stop:
                    raise KeyboardInterrupt
                given.append(found["question_id"])
                yield found

        monkeypatch.setattr(HubTable, "rows", rows)
        if stop == 99:
            records = read_aokvqa_hub(str(root), "val", cache=tmp_path / "cache")
        else:
            with pytest.raises(KeyboardInterrupt):
                read_aokvqa_hub(str(root), "val", cache=tmp_path / "cache")
    assert [record.id for record in records] == whole
    # 1: nothing kept; 4: q0-q2 kept; 8: q3-q5 too; then the rest.
    assert given == ["q0", "q0", "q1", "q2", "q3", "q3", "q4", "q5", "q6", "q7", "q6", "q7", "q8", "q9"]
    assert not list(tmp_path.rglob("*.tmp"))
    for lost in sorted((tmp_path / "cache").rglob("rows-*.jsonl")):  # of what was complete once
        lost.unlink()
        again = read_aokvqa_hub(str(root), "val", cache=tmp_path / "cache")
        assert [record.id for record in again] == whole and lost.is_file()


def test_a_full_disk_costs_one_line_and_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extracted, "PART", 2)
    root = as_parquet(tmp_path / "copy", validation=[row(f"q{place}", place) for place in range(6)])
    real, room = Path.write_bytes, [5]

    def write(self: Path, data: bytes) -> int:
        room[0] -= 1
        if room[0] < 0:
            with open(self, "wb") as file:
                file.write(data[:7])
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(RecordError, match="No space left on device") as caught:
        read_aokvqa_hub(str(root), "val", cache=tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert "goes on where this one stopped" in str(caught.value)
    assert not list(tmp_path.rglob("*.tmp"))
    assert len(list((tmp_path / "cache").rglob("rows-*.jsonl"))) == 1
    room[0] = 99
    assert len(read_aokvqa_hub(str(root), "val", cache=tmp_path / "cache", check_images=True)) == 6


@pytest.mark.parametrize("damage", ["cut", "pointer", "empty"])
def test_a_damaged_file_is_one_line(tmp_path: Path, damage: str) -> None:
    root = as_parquet(tmp_path / "copy", validation=[row("v")])
    (file,) = (root / "data").glob("*.parquet")
    whole = file.read_bytes()
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 60400000\n"
    file.write_bytes({"cut": whole[: len(whole) // 2], "pointer": pointer, "empty": b""}[damage])
    said = {"cut": "cannot be read", "pointer": "a Git LFS pointer, not the file", "empty": "an empty file"}[damage]
    with pytest.raises(RecordError, match=said) as caught:
        read_aokvqa_hub(str(root), "val", cache=tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert str(root) in str(caught.value)
    file.write_bytes(whole)
    assert len(read_aokvqa_hub(str(root), "val", cache=tmp_path / "cache")) == 1


def test_other_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "copy" / "data").mkdir(parents=True)
    features = Features({"question_id": Value("string"), "query": Value("string")})
    table([{"question_id": "a", "query": "What?"}], features).to_parquet(tmp_path / "copy/data/validation-0.parquet")
    with pytest.raises(RecordError) as caught:
        read_aokvqa_hub(str(tmp_path / "copy"), "val", cache=tmp_path / "cache")
    said = str(caught.value)
    assert "no column image, question, choices" in said
    assert "direct_answers (text)" in said
    assert "found question_id, query" in said
    assert "\n" not in said


@pytest.mark.parametrize("layout", ["parquet", "arrow"])
def test_further_columns_cost_nothing(tmp_path: Path, layout: str) -> None:
    """Whatever they hold: a copy that somebody added embeddings, dates or more pictures to is still the data set."""
    more = {"raw": b"\xff", "at": datetime.datetime(2020, 1, 1), "second": {"bytes": b"no picture", "path": None}}
    kinds = {"raw": Value("binary"), "at": Value("timestamp[s]"), "second": Image()}
    found = table([row("v", 4, **more)], Features({**AOKVQA, **kinds}))
    if layout == "parquet":
        (tmp_path / "copy/data").mkdir(parents=True)
        found.to_parquet(tmp_path / "copy/data/validation-0.parquet")
    else:
        DatasetDict({"validation": found}).save_to_disk(tmp_path / "copy")
    (record,) = read_aokvqa_hub(str(tmp_path / "copy"), "val", cache=tmp_path / "cache", check_images=True)
    assert record.id == "v" and not set(more) & set(record.extras)


@pytest.mark.parametrize("layout", ["parquet", "arrow"])
@pytest.mark.parametrize(("kind", "value"), [("string", "a.jpg"), ("int64", 3)])
def test_a_column_of_that_name_without_pictures_is_named(tmp_path: Path, layout: str, kind: str, value: Any) -> None:
    found = table([row("v", image=value)], Features({**AOKVQA, "image": Value(kind)}))
    if layout == "parquet":
        (tmp_path / "copy/data").mkdir(parents=True)
        found.to_parquet(tmp_path / "copy/data/validation-0.parquet")
    else:
        DatasetDict({"validation": found}).save_to_disk(tmp_path / "copy")
    with pytest.raises(
        RecordError, match=rf"copy \(validation\): column image holds no pictures \(found .*{kind}"
    ) as caught:
        read_aokvqa_hub(str(tmp_path / "copy"), "val", cache=tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_pictures_in_a_table_without_the_librarys_marks(tmp_path: Path) -> None:
    """As other programs write parquet: a struct of bytes and path, or bytes alone."""
    (tmp_path / "copy/data").mkdir(parents=True)
    plain = table([row("v", 4)]).to_pandas()
    for pictures in (plain["image"], [jpeg(4)]):
        plain["image"] = pictures
        plain.to_parquet(tmp_path / "copy/data/validation-0.parquet")
        (record,) = read_aokvqa_hub(str(tmp_path / "copy"), "val", cache=tmp_path / "cache", check_images=True)
        assert Path(str(record.image.path)).read_bytes() == jpeg(4)


def test_no_such_split_no_hub_no_cache(tmp_path: Path) -> None:
    root = str(as_parquet(tmp_path / "copy", validation=[row("v")]))
    with pytest.raises(RecordError, match=r"Bad split: train"):
        read_aokvqa_hub(root, "train", cache=tmp_path / "cache")
    with pytest.raises(RecordError, match="train, val, test"):
        read_aokvqa_hub(root, "validation", cache=tmp_path / "cache")
    with pytest.raises(RecordError, match="cache=<folder>"):
        read_aokvqa_hub(root, "val", cache=None)
    for streaming in (True, False):
        with pytest.raises(RecordError, match="hf download HuggingFaceM4/A-OKVQA --repo-type dataset") as caught:
            load_aokvqa_hub(None, cache=tmp_path / "cache", streaming=streaming)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": None}, "holds no picture"),
        ({"image": {"bytes": b"text", "path": None}}, "not a picture"),
        ({"direct_answers": "['cow'"}, "as Python writes it"),
        ({"direct_answers": "__import__('os')"}, "as Python writes it"),
        ({"question_id": "good"}, "duplicate id"),
        ({"correct_choice_idx": 4}, "not among the choices"),
        ({"choices": ["cow", "Cow"], "correct_choice_idx": 0}, "1 distinct choice"),
        ({"question": None}, "'question'"),
    ],
)
def test_bad_rows_are_skipped_and_listed(tmp_path: Path, changes: Row, said: str) -> None:
    root = as_parquet(tmp_path / "copy", validation=[row("good"), row("bad", **changes), row("last", 2)])
    report = ReadReport()
    records = read_aokvqa_hub(str(root), "val", cache=tmp_path / "cache", check_images=True, report=report)
    assert [record.id for record in records] == ["good", "last"]
    ((_, reason),) = report.skipped
    assert said in reason
    assert "\n" not in reason


def test_sizes_are_compared(tmp_path: Path) -> None:
    root = as_parquet(tmp_path / "copy", train=[row("t")], validation=[row("v")])
    report = load_aokvqa_hub(root, cache=tmp_path / "cache").report
    assert report.whole is False
    assert "2 questions on 1 pictures, but 18,201 on 17,662 were published" in "\n".join(report.lines())


@pytest.mark.parametrize("layout", [as_parquet, as_arrow])
def test_a_copy_of_the_hubs_is_known_from_the_original_files(layout: Layout, tmp_path: Path) -> None:
    root = layout(tmp_path / "copy", train=[row("t")], validation=[row("v", 4)])
    bundle = load_aokvqa(root, cache=tmp_path / "cache", check_images=True)
    assert bundle.records == load_aokvqa_hub(root, cache=tmp_path / "cache").records and len(bundle.records) == 2
    with pytest.raises(RecordError, match="A-OKVQA train annotations not found"):
        load_aokvqa(tmp_path, cache=tmp_path / "cache")  # beside the copy


@pytest.mark.parametrize("load", [load_aokvqa, load_aokvqa_hub])
@pytest.mark.parametrize("streaming", [True, False])
def test_from_the_hub_itself_streamed_or_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streaming: bool, load: Callable[..., DataBundle]
) -> None:
    """The library's own two kinds of table, as it returns them for a name of the hub; no network here to ask it."""
    asked: list[tuple[str, str, bool]] = []

    def table_of(name: str, *, split: str, streaming: bool) -> Any:
        asked.append((name, split, streaming))
        rows = table([row(split, len(asked)), row(f"{split} too", 7)])
        return rows.to_iterable_dataset() if streaming else rows

    monkeypatch.setattr("datasets.load_dataset", table_of)
    bundle = load(None, cache=tmp_path, streaming=streaming, check_images=True)
    assert asked == [(HUB, "train", streaming), (HUB, "validation", streaming)]
    assert [record.id for record in bundle.records] == ["train", "train too", "validation", "validation too"]
    assert load(None, cache=tmp_path, streaming=streaming).records == bundle.records
    assert len(asked) == 2


def wrapped(cause: Exception) -> Exception:
    """As the library raises what goes wrong while it downloads into its own cache."""
    error = DatasetGenerationError("An error occurred while generating the dataset")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "set HF_HOME to another disk"),
        (
            ConnectionError("Max retries\nexceeded"),
            "the hub cannot be reached (Max retries); on a machine with network",
        ),
        (RuntimeError("Disk quota\n exceeded"), "cannot be read (Disk quota)"),
        (wrapped(OSError(28, "No space left on device")), "set HF_HOME to another disk"),
        (wrapped(ValueError("Invalid: Corrupt snappy")), "cannot be read (Invalid: Corrupt snappy)"),
    ],
)
def test_a_download_that_breaks_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    monkeypatch.setattr(extracted, "PART", 2)
    rows = [row(f"q{place}", place) for place in range(5)]
    broken = [True]

    class Breaking:
        """A table whose connection breaks at the fourth row, once."""

        features = AOKVQA

        def __init__(self, start: int = 0) -> None:
            self.start = start

        def cast_column(self, *_: Any) -> Breaking:
            return self

        def skip(self, count: int) -> Breaking:
            return Breaking(count)

        def __iter__(self) -> Any:
            for place in range(self.start, 5):
                if place == 3 and broken.pop():
                    raise error
                yield rows[place]

    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: Breaking())
    with pytest.raises(RecordError) as caught:
        load_aokvqa_hub(None, split="val", cache=tmp_path)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    broken.append(False)
    assert [r.id for r in load_aokvqa_hub(None, split="val", cache=tmp_path).records] == ["q0", "q1", "q2", "q3", "q4"]


def test_direct_answers() -> None:
    assert direct_answers(["a", "b"]) == ["a", "b"]
    assert direct_answers("('a',)") == ["a"]
    for bad in ("{'a': 1}", "[1]", "5", "[" * 10_000, 7):
        with pytest.raises(RecordError):
            direct_answers(bad)
