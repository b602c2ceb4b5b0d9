"""Mining on several devices: helpers mine along through the cache, and a run's results do not depend on them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig

from rv_edit.benchmark import left_to_mine
from rv_edit.tasks import mining
from rv_edit.tasks.preparing import Scoring
from rv_edit.vlm import VLM

Composed = Callable[..., DictConfig]
SIZE = 300
"""Records enough for two chunks."""


@pytest.fixture
def cfg(composed: Composed, tmp_path: Path) -> DictConfig:
    return composed(f"+dataset.source.size={SIZE}", f"cache={tmp_path / 'cache'}")


@pytest.fixture
def parts(cfg: DictConfig) -> tuple[VLM, Any, Scoring]:
    data = instantiate(cfg.dataset.source, _convert_="all")
    vlm = instantiate(cfg.model.vlm, device="cpu", _convert_="all")
    return vlm, data.records, Scoring("sum", 32, Path(cfg.cache), 0.05, None, 0, "{statement}", 0.5)


def left(vlm: VLM, records: Any, scoring: Scoring) -> int:
    return left_to_mine(vlm, records, cache_dir=scoring.cache)


@pytest.mark.DDP
def test_a_helper_does_what_this_process_does_not(cfg: DictConfig, parts: Any, caplog: Any) -> None:
    vlm, records, scoring = parts
    assert left(vlm, records, scoring) == 2
    with caplog.at_level(logging.INFO), mining.mining_helpers(cfg, vlm, records, scoring, ["cpu", "cpu", "cpu"]):
        pass  # all of it is left to the helper
    assert caplog.text.count("mining on 2 devices") == 1  # two chunks: a third device is of no use
    assert "failed" not in caplog.text
    assert left(vlm, records, scoring) == 0
    warm = mining.mine_pool(vlm, records, scoring)
    assert warm.cached_chunks == 2 and len(warm.scored) == SIZE
    caplog.clear()
    with caplog.at_level(logging.INFO), mining.mining_helpers(cfg, vlm, records, scoring, ["cpu"]):
        assert "mining on" not in caplog.text  # nothing is left


@pytest.mark.DDP
def test_a_helper_that_fails_costs_a_warning(cfg: DictConfig, parts: Any, caplog: Any) -> None:
    vlm, records, scoring = parts
    cfg.model.vlm.name = "/nowhere/llava"
    with caplog.at_level(logging.WARNING), mining.mining_helpers(cfg, vlm, records, scoring, ["cpu"]):
        found = mining.mine_pool(vlm, records, scoring)
    assert len(found.scored) == SIZE
    (record,) = (one for one in caplog.records if "mining on cpu failed, the others did its part" in one.getMessage())
    assert "/nowhere/llava" in record.getMessage() and "Traceback" not in record.getMessage()


def test_helpers_end_with_a_failed_block(cfg: DictConfig, parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    vlm, records, scoring = parts
    started: list[Any] = []
    real = mining._start
    monkeypatch.setattr(mining, "_start", lambda *args: started.extend(real(*args)) or list(started))
    with pytest.raises(KeyboardInterrupt), mining.mining_helpers(cfg, vlm, records, scoring, ["cpu"]):
        raise KeyboardInterrupt
    assert len(started) == 1 and not started[0][0].is_alive()


def test_without_a_cache_there_are_none(cfg: DictConfig, parts: Any, caplog: Any) -> None:
    vlm, records, _ = parts
    scoring = Scoring("sum", 32, None, 0.05, None, 0, "{statement}", 0.5)
    with caplog.at_level(logging.INFO), mining.mining_helpers(cfg, vlm, records, scoring, ["cpu"]):
        pass
    assert "cache=null: every device mines by itself" in caplog.text


def test_only_the_process_that_starts_the_others_has_further_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    def trainer(external: bool, devices: list[str] | None) -> Any:
        environment = SimpleNamespace(creates_processes_externally=external)
        return SimpleNamespace(strategy=SimpleNamespace(parallel_devices=devices, cluster_environment=environment))

    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert mining.further_devices(trainer(False, ["cuda:0", "cuda:1", "cuda:2"])) == ["cuda:1", "cuda:2"]
    assert mining.further_devices(trainer(True, ["cuda:0", "cuda:1"])) == []
    assert mining.further_devices(trainer(False, None)) == []
    assert mining.further_devices(SimpleNamespace(strategy=SimpleNamespace())) == []  # type: ignore[arg-type]
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert mining.further_devices(trainer(False, ["cuda:0", "cuda:1"])) == []


@pytest.mark.DDP
def test_two_devices_give_what_one_gives(command: Callable[..., Any], tmp_path: Path) -> None:
    few = [f"+dataset.source.size={SIZE}", "dataset.edits=2", "dataset.loc_random=2", "dataset.loc_similar=2"]
    for name, devices in (("one", 1), ("two", 2)):
        place = [f"hydra.run.dir={tmp_path / name}", f"cache={tmp_path / name / 'cache'}"]
        done = command(*few, *place, f"trainer.devices={devices}")
        assert done.returncode == 0, done.stderr
        assert ("mining on 2 devices" in done.stdout + done.stderr) == (devices == 2)
    one, two = ((tmp_path / name / "answers.jsonl").read_bytes() for name in ("one", "two"))
    assert one == two
    kept = [sorted(path.name for path in (tmp_path / name / "cache").rglob("*.jsonl")) for name in ("one", "two")]
    assert kept[0] == kept[1]
