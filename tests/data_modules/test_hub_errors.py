"""A hub that refuses and a disk that is full: the real libraries against a server, and what they wrap by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from data_modules.hub_errors import NO_SPACE, first_line, hub_reason, innermost
from tests.data_modules.refusing_hub import RefusingHub
from tests.source_tree import ROOT

SAID = {
    "expired": "the hub refuses the token used here (Invalid credentials in Authorization header); renew it: hf auth",
    "gated": "its terms have to be accepted once on https://huggingface.co/{page}gated/model, by the account whose",
    "unknown": "the hub has no unknown/model, or shows it to some accounts alone",
}


def test_a_refusal_is_named_by_every_loader(tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="needs diffusers")
    names = [f"{kind}/model" for kind in SAID]
    with RefusingHub() as hub:
        settings = {
            "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_expired", "HF_HOME": str(tmp_path),
            "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "tests.data_modules.refusing_hub", *names],
            capture_output=True, text=True, timeout=1800, cwd=ROOT, env={**os.environ, **settings},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    for kind, name in zip(SAID, names, strict=True):
        assert len(told[name]) == 7
        for loader, line in told[name].items():
            page = "datasets/" if loader in ("table", "cached table", "benchmark") else ""
            assert SAID[kind].replace("{page}", page) in line and "\n" not in line, (loader, line)
            assert name in line and "hf_expired" not in line


def raised(*layers: BaseException) -> BaseException:
    """The first error, raised from the second, and so on."""
    for outer, inner in zip(layers, layers[1:], strict=False):
        outer.__cause__ = inner
    return layers[0]


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        raised(RuntimeError("An error occurred while generating the dataset"), OSError(28, "No space left on device")),
        OSError("Not enough disk space. Needed: 2 GiB (download: 1 GiB, generated: 1 GiB)"),
        raised(ValueError("x"), RuntimeError("Data processing error: No space left on device (os error 28)")),
    ],
)
def test_a_full_disk_is_found_under_what_is_raised(error: BaseException) -> None:
    assert hub_reason(error, "a/b") == NO_SPACE


def test_a_full_disk_is_found_under_what_it_was_raised_while_handling() -> None:
    error = KeyError("unrelated")
    error.__context__ = OSError(28, "No space left on device")  # as where a library does not say from what
    assert hub_reason(error, "a/b") == NO_SPACE


def test_other_errors_are_left_to_their_own_words() -> None:
    error = raised(RuntimeError("An error occurred\nsomewhere"), ValueError("bad magic bytes"))
    assert hub_reason(error, "a/b") is None and hub_reason(ConnectionError("no route"), "a/b") is None
    assert (first_line(error), first_line(innermost(error))) == ("An error occurred", "bad magic bytes")
    assert first_line(KeyError()) == "KeyError"
    error.__cause__ = None
    error.__context__ = error  # a circle, which no library should make
    assert hub_reason(error, "a/b") is None
