"""``task=build_suites`` from options to a folder that an edit run asks, against a service on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from data_modules.built_suites import BuiltSuites
from rv_edit.cli import one_line
from rv_edit.run import run
from tests.benchmark.building.bad_server import BadServer, Call, Reply, completion, failure, sensible
from tests.run.painting import made
from tests.run.tiny_data import record

Composed = Callable[..., DictConfig]
MADE_BY = {
    "t_gen": {"text_from"}, "i_gen": {"image_from"}, "r_gen": {"text_from", "image_from"},
    "coe_gen": {"text_from", "image_from"},
}  # fmt: skip
"""What of a suite's questions is made, hence what must say where it is from."""
SMALL = {"num_inference_steps": 1, "height": 32, "width": 32, "max_sequence_length": 48}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BadServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with BadServer() as running:
        yield running


@pytest.fixture
def options(server: BadServer, tmp_path: Path) -> list[str]:
    """The service for texts, noise for pictures, nobody who looks."""
    return [
        "task=build_suites",
        "task/text=openai",
        f"task.text.base_url={server.url}",
        "task.text.first_delay=0.01",
        "task.text.retries=2",
        f"++task.images.a={{_target_: tests.run.painting.Painter, log: {tmp_path / 'painted'}}}",
        f"++task.images.b={{_target_: tests.run.painting.Painter, log: {tmp_path / 'painted'}}}",
        f"task.folder={tmp_path / 'suites'}",
        "task.reserve_mb=0",
        "error_chain.threshold=0.0",
    ]


def items(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]


def keys(calls: list[Call]) -> list[str]:
    return [call.headers["Idempotency-Key"] for call in calls]


def test_built_and_asked(composed: Composed, server: BadServer, options: list[str], tmp_path: Path) -> None:
    told = run(composed(*options))
    assert told["made"] == {"t_gen": 60, "i_gen": 24, "r_gen": 6, "coe_gen": 18} and told["dropped"] == {}
    assert len(server.calls) == 6 * 3 and server.most_at_once > 1 and made(tmp_path / "painted") == 24 + 6 + 18
    assert json.loads((tmp_path / "suites/suites.json").read_text()) == told
    for item in items(tmp_path / "suites"):
        origins = MADE_BY[item["suite"]]
        assert {name for name in item if name.endswith("_from")} == origins
        for name in origins:  # who made it, from what, and with which seed
            assert {"prompt", "seed", "attempt", "kind", "model"} <= set(item[name]), (item["id"], name)
            assert item[name]["prompt"] and isinstance(item[name]["seed"], int)
    assert "secret-key" not in "".join(
        path.read_text() for path in (tmp_path / "suites").rglob("*.json*") if path.is_file()
    )
    run(composed(f"dataset.suites={tmp_path / 'suites'}", "error_chain.threshold=0.0", out="edited"))
    found = json.loads((tmp_path / "edited/results.json").read_text())
    asked = {suite: found["after"][suite]["n"] for suite in ("t_gen", "i_gen", "r_gen", "coe_gen")}
    assert asked == told["made"] and found["error_counts"].get("t_gen: edits without a question") is None


def test_again_costs_nothing_and_more_edits_cost_their_own(
    composed: Composed, server: BadServer, options: list[str], tmp_path: Path
) -> None:
    run(composed(*options, "dataset.edits=2"))
    calls, painted = len(server.calls), made(tmp_path / "painted")
    before = {path: path.read_bytes() for path in (tmp_path / "suites").rglob("*") if path.is_file()}
    run(composed(*options, "dataset.edits=2"))
    assert len(server.calls) == calls and made(tmp_path / "painted") == painted
    assert {path: path.read_bytes() for path in (tmp_path / "suites").rglob("*") if path.is_file()} == before
    told = run(composed(*options, "dataset.edits=5"))
    assert told["edits"] == 5 and len(server.calls) == calls * 5 / 2 and made(tmp_path / "painted") == painted * 5 / 2
    assert len(set(keys(server.calls))) == len(server.calls)


def test_parts_together_are_the_whole(
    composed: Composed, server: BadServer, options: list[str], tmp_path: Path
) -> None:
    run(composed(*options))
    calls, painted = len(server.calls), made(tmp_path / "painted")
    apart = [item for item in options if not item.startswith("task.folder")] + [f"task.folder={tmp_path / 'apart'}"]
    for part in ("0/2", "1/2"):
        assert run(composed(*apart, f"task.shard={part}")) is None
        assert not (tmp_path / "apart/suites.json").exists()
    assert (len(server.calls), made(tmp_path / "painted")) == (2 * calls, 2 * painted)
    run(composed(*apart))
    assert (len(server.calls), made(tmp_path / "painted")) == (2 * calls, 2 * painted)
    for name in ("items.jsonl", "edits.jsonl", "suites.json"):
        assert (tmp_path / "apart" / name).read_bytes() == (tmp_path / "suites" / name).read_bytes()


def test_a_part_describes_its_own_pictures_alone(
    composed: Composed, server: BadServer, options: list[str], tmp_path: Path
) -> None:
    looking = ["task/checker=model", "task.checker.question=null", "task.checker.caption_tokens=2"]
    few = [*options, *looking, "task.suites=[t_gen]", "dataset.edits=5"]
    for part in ("0/2", "1/2", None):
        run(composed(*few, *([] if part is None else [f"task.shard={part}"])))
    rows = {
        path.stem: [json.loads(line) for line in path.read_text().splitlines()]
        for path in (tmp_path / "suites/journal").glob("*.jsonl")
    }
    described = {name: sum(row["kind"] == "caption" for row in own) for name, own in rows.items()}
    assert described == {"part-0-of-2": 3, "part-1-of-2": 2, "all": 0}


def test_an_expired_key_stops_in_one_line_and_the_same_command_goes_on(
    composed: Composed, server: BadServer, options: list[str], tmp_path: Path
) -> None:
    server.behave = lambda call: failure(401, "key expired") if call.place >= 7 else sensible(call)
    with pytest.raises(ValueError, match="key expired") as caught:
        run(composed(*options, "task.text.concurrency=2"))
    line = one_line(caught.value)
    assert line is not None and "$OPENAI_API_KEY" in line and "\n" not in line
    assert not (tmp_path / "suites/suites.json").exists() and 8 <= len(server.calls) <= 9
    with pytest.raises(ValueError, match="not finished"):
        BuiltSuites(tmp_path / "suites")
    server.behave = sensible
    assert run(composed(*options))["made"]["t_gen"] == 60
    answered = keys([call for call in server.calls if call.answered])
    assert len(answered) == len(set(answered)) == 18


def test_what_a_model_gets_wrong_is_dropped_and_counted(
    composed: Composed, server: BadServer, options: list[str], tmp_path: Path
) -> None:
    def behave(call: Call) -> Reply:
        if "multiple-choice" in call.prompt:
            return completion('{"question": "Q?", "correct": "a", "incorrect": ["A", "b", "c"]}')
        if "rephrase" in call.prompt:
            return completion(json.dumps([f"Wording {n % 4}?" for n in range(10)]))
        return sensible(call)

    server.behave = behave
    black = f"++task.images.b={{_target_: tests.run.painting.Painter, log: {tmp_path / 'black'}, black: true}}"
    told = run(composed(*[item for item in options if not item.startswith("++task.images.b")], black))
    assert told["made"] == {"t_gen": 24, "i_gen": 12, "r_gen": 0, "coe_gen": 18}
    assert told["dropped"] == {
        "t_gen": {"repeated": 36},
        "i_gen": {"a blank picture, as safety filters return it": 12},
        "r_gen": {"the right answer is among the wrong ones": 6},
    }
    assert made(tmp_path / "black") == 12 * 4 and len(server.calls) == 6 * (3 + 3 + 1)


def test_other_options_do_not_mix_into_one_folder(composed: Composed, server: BadServer, options: list[str]) -> None:
    looking = ["task/checker=model", "task.checker.question=null", "task.checker.caption_tokens=2"]
    options = [*options, *looking]
    run(composed(*options, "dataset.edits=1"))
    calls = len(server.calls)
    for change, said in (
        ("task.i_gen.per_model=3", "i_gen.per_model"),
        ("task.r_gen.wrong=2", "r_gen.wrong"),
        ("task.coe_gen.most_words=30", "coe_gen.most_words"),
        ("task.checker.threshold=0.7", "checker.threshold"),
        ("task.checker.caption_prompt=Say it.", "captions.prompt"),
        ("task.t_gen.count=9", "t_gen.count"),
        ("task.text.model=other", "text.model"),
        ("seed=1", "seed"),
        ("task.picture_format=jpg", "picture_format"),
    ):
        with pytest.raises(ValueError, match=f"built with another {said}"):
            run(composed(*options, "dataset.edits=1", change))
    assert len(server.calls) == calls
    run(composed(*options, "dataset.edits=1", "task.attempts=5", "task.text.concurrency=1"))
    assert len(server.calls) == calls


def test_a_dry_run_asks_nobody_and_writes_nothing(
    composed: Composed, server: BadServer, options: list[str], tmp_path: Path, caplog: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("rv_edit.vlm.load_vlm", lambda *args, **given: pytest.fail("a model was loaded"))
    with caplog.at_level("INFO"):
        assert run(composed(*options, "task.dry_run=true", "dataset.edits=4000")) is None
    assert not server.calls and not (tmp_path / "suites").exists() and not made(tmp_path / "painted")
    assert "40 edits" in caplog.text  # the data set has no more
    assert "text calls: 120 (t_gen 40, r_gen 40, coe_gen 40)" in caplog.text


@pytest.mark.soak
def test_real_pipelines_and_a_vlm_that_looks(
    composed: Composed, server: BadServer, options: list[str], tmp_path: Path
) -> None:
    pytest.importorskip("diffusers", reason="needs diffusers")
    from tests.benchmark.building.tiny_diffusion import build_flux, build_sd3

    folders = {"sd3": build_sd3(tmp_path / "raw3"), "flux": build_flux(tmp_path / "rawf")}
    kept = [item for item in options if not item.startswith("++task.images")]
    small = [
        part
        for name, folder in folders.items()
        for part in (
            f"task.images.{name}.name={folder}",
            f"task.images.{name}.dtype=float32",
            f"task.images.{name}.device=cpu",
            *(f"++task.images.{name}.arguments.{option}={value}" for option, value in SMALL.items()),
        )
    ]
    looking = ["task/checker=model", "task.checker.threshold=0.0", "task.checker.caption_tokens=4"]
    told = run(composed(*kept, "task/images=sd3_flux", *small, *looking, "dataset.edits=2"))
    assert told["made"] == {"t_gen": 20, "i_gen": 8, "r_gen": 2, "coe_gen": 6}
    shown = [item["image_from"] for item in items(tmp_path / "suites") if item["image"]]
    assert all(0 < origin["p_shown"] < 1 and origin["checked_by"]["kind"] == "vlm" for origin in shown)
    assert {origin["name"] for origin in shown if origin["prompt"]} == {"sd3", "flux"}
    rows = [json.loads(line) for line in (tmp_path / "suites/edits.jsonl").read_text().splitlines()]
    captions = [row["caption"] for row in rows]
    written = {row["id"]: row["caption_from"] for row in rows if row["caption"]}
    assert all(origin["kind"] == "vlm" and origin["tokens"] == 4 for origin in written.values())
    for item in items(tmp_path / "suites"):
        asks = item["suite"] in ("i_gen", "r_gen") and item["edit_id"] in written
        assert item.get("caption_from") == (written[item["edit_id"]] if asks else None), item["id"]
    assert len(captions) == 2 and all(origin["kind"] == "diffusers" for origin in shown)
    BuiltSuites(tmp_path / "suites").i_gen(record(0).as_edit(), record(0))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["task.shard=2/2"], "task.shard=2/2"),
        (["task.shard=some"], "task.shard=some"),
        (["task.suites=[acc]"], "task.suites"),
        (["task.attempts=0"], "task.attempts=0"),
        (["task.reserve_mb=-1"], "task.reserve_mb=-1"),
        (["task.picture_format=gif"], "task.picture_format=gif"),
        (["task.dry_run=maybe"], "task.dry_run=maybe"),
        (["task.checker.threshold=2"], "task.checker.threshold=2"),
        (["task/checker=model", "task.checker.question=Is it?"], "task.checker.question"),
        (["task.r_gen.model=c"], "task.r_gen.model=c: the image models are a, b"),
        (["task.captions=[/nowhere/captions.json]"], "/nowhere/captions.json"),
        (["task.folder=/proc/nothing"], "task.folder="),
        (["task.text.base_url=nowhere"], "task.text.base_url=nowhere"),
        (["task.text.key_variable=NO_SUCH_KEY"], "$NO_SUCH_KEY is empty"),
        (["task/text=transformers", "task.text.name=/nowhere/model"], "/nowhere/model"),
        (["task/text=pocket"], "task/text=openai"),
        (["trainer.devices=2"], "task.shard=0/n"),
        (["task.images={}"], "task.images is empty"),
        (["dataset.edits=-1"], "dataset.edits=-1"),
    ],
)
def test_bad_options_stop_in_one_line_before_anything_is_paid_for(
    composed: Composed, server: BadServer, options: list[str], changes: list[str], said: str
) -> None:
    given = {item.partition("=")[0] for item in changes}
    kept = [item for item in options if item.partition("=")[0] not in given]
    if "task/text" in given:
        kept = [item for item in kept if not item.startswith("task.text.")]
    if "task.images" in given:
        kept = [item for item in kept if not item.startswith("++task.images.")]
        changes = ["task.images.a=null", "task.images.b=null"]
    with pytest.raises(Exception) as caught:  # whatever it is, the command line makes one line of it
        run(composed(*kept, *changes))
    line = one_line(caught.value)
    assert line is not None and said in line and "\n" not in line
    assert not server.calls
