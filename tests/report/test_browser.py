"""The page as a browser builds it: the script runs, and says how many edits are shown."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rv_edit.report import write_run
from tests.report.synthetic import make_run

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)


@pytest.mark.soak
@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_the_script_runs_in_a_browser(tmp_path: Path) -> None:
    page = write_run(tmp_path / "run", make_run())["gallery"]
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [str(BROWSER), *flags, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert '<output aria-live="polite">12 of 12</output>' in done.stdout
    assert '<form class="filter" role="search" aria-label="Filter the edits">' in done.stdout, (
        "shown, as there is a script"
    )
