"""The wheel: what is in it, and that it runs where there is no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.source_tree import ROOT, files

SHIPPED = ("rv_edit/report/page", "rv_edit/app/static", "rv_edit/pocket/examples")


def build_wheel(folder: Path) -> Path:
    """Build the wheel with the installed backend, without an environment of its own."""
    code = "import sys, hatchling.build as build; print(build.build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="needs hatchling, of the dev extra")
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_contents(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = {str(path.relative_to(ROOT)) for path in files(".py", under=("rv_edit", "data_modules"))}
    wanted |= {f"rv_edit/{path.relative_to(ROOT)}" for path in files(".yaml", under=("conf",))}
    wanted |= {
        str(path.relative_to(ROOT))
        for path in files("", under=("rv_edit/report/page", "rv_edit/app/static", "rv_edit/pocket/examples"))
    }
    wanted |= {"rv_edit/py.typed", "data_modules/py.typed", "data_modules/schema/edit.schema.json"}
    assert not wanted - names
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"rv_edit", "data_modules"}
    licence = [name for name in names if name.endswith("licenses/LICENSE")]
    assert licence, "the licence goes with the wheel"


def test_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(info).decode()
        entry = archive.read(info.replace("METADATA", "entry_points.txt")).decode()
    assert "Requires-Python: >=3.10" in metadata
    assert "License-Expression: Apache-2.0" in metadata
    assert "rv-edit = rv_edit.__main__:main" in entry


@pytest.mark.soak
def test_runs_from_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    """Installed without the checkout in sight, with this environment's libraries behind it."""
    home = tmp_path / "clean"
    venv.create(home, with_pip=True, symlinks=True)
    python = home / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, cwd=tmp_path)
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    site = Path(subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout.strip())
    # Only the folders of libraries: the .pth file that an editable install leaves in them is not read from here.
    paths = sysconfig.get_paths()
    (site / "libraries.pth").write_text("\n".join(dict.fromkeys([paths["purelib"], paths["platlib"]])) + "\n")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command: str) -> str:
        done = subprocess.run([str(python), *command], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = run("-c", "import rv_edit, data_modules; print(rv_edit.__file__); print(data_modules.__file__)")
    assert all(line.startswith(str(home)) for line in where.split())
    assert "editor:" in run("-m", "rv_edit", "--cfg", "job")
    assert "reasonedit" in run("-m", "rv_edit", "--help")
    script = subprocess.run(
        [str(home / "bin" / "rv-edit"), "--help"], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert script.returncode == 0, script.stderr
    assert "reasonedit" in script.stdout
    run(
        "-m",
        "rv_edit",
        "debug=smoke",
        "logger=none",
        f"hydra.run.dir={tmp_path / 'run'}",
        f"cache={tmp_path / 'cache'}",
    )
    assert {"results.json", "answers.jsonl", "gallery.html"} <= {path.name for path in (tmp_path / "run").iterdir()}
