"""What holds for every test: one thread, no account, no hub, and no skip without a reason."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: two threads on two busy cores wait for each other
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["WANDB_MODE"] = "disabled"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", ".hypothesis")

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rv_edit.embedding import TextEncoder
    from rv_edit.vlm import VLM

ABSENT = ("not here", "needs ", "only on ")
"""What a skip's reason says: that something this machine lacks is needed. Any other skip fails the run."""


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test was skipped."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List every reason for which tests were skipped, with how many."""
    reasons = Counter(reason_of(report) for report in terminalreporter.stats.get("skipped", []))
    if not reasons:
        return
    terminalreporter.section("skipped")
    for reason, count in reasons.most_common():
        good = any(word in reason for word in ABSENT)
        terminalreporter.line(f"{count:4d}  {reason}" + ("" if good else "   <- says nothing of what is missing here"))


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Iterator[None]:
    """Fail where a test was skipped for any other reason than something this machine lacks."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    if exitstatus == 0 and any(not any(word in reason_of(report) for word in ABSENT) for report in skipped):
        session.exitstatus = 1
    return (yield)


@pytest.fixture(scope="session")
def vlm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real LLaVA with small random weights, as it lies on a disk."""
    from tests.vlm.tiny_llava import build

    return build(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="session")
def vlm(vlm_folder: Path) -> VLM:
    """That LLaVA, loaded; folders that test every family have a fixture of their own of this name."""
    from rv_edit.vlm import load_vlm

    return load_vlm(str(vlm_folder))


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real sentence encoder with small random weights, as it lies on a disk."""
    from tests.embedding.tiny_encoder import build_encoder

    return build_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def encoder(encoder_folder: Path) -> TextEncoder:
    """That encoder, loaded."""
    from rv_edit.embedding import TextEncoder

    return TextEncoder(encoder_folder, batch_size=4)
