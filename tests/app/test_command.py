"""``rv-edit serve``: its options, its help, its mistakes, and one life from start to end."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from rv_edit.app.command import parse
from rv_edit.errors import ConfigError
from tests.app.conftest import chat_body, edit_body
from tests.app.serving import Server, answers
from tests.source_tree import ROOT


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rv_edit", "serve", *arguments], capture_output=True, text=True, cwd=ROOT, timeout=600
    )


def test_help_lists_every_option_and_loads_nothing_heavy() -> None:
    done = serve("--help")
    assert done.returncode == 0 and not done.stderr
    for line in (ROOT / "conf/serve/default.yaml").read_text().splitlines():
        assert line in done.stdout
    code = (
        "import sys; from rv_edit.app.command import main; main(['-h']); print({'torch', 'fastapi'} & set(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert loaded.stdout.splitlines()[-1] == "set()", loaded.stderr


def test_options_are_given_by_name() -> None:
    settings = parse(["port=9000", "host=0.0.0.0", "upstream.url=http://x/v1/", "editor.codebook.k=3"])
    assert settings.port == 9000 and settings.needs_key and settings.upstream.url == "http://x/v1"
    assert settings.overrides == ("editor.codebook.k=3",) and settings.model and settings.edits is None
    named = parse(["model=some/model", "model.vlm.dtype=float32"])
    assert named.model == "some/model" and named.overrides == ("model.vlm.dtype=float32",)
    assert parse(["edits=mine"]).model is None and not parse([]).needs_key
    assert parse(["auth=none", "host=0.0.0.0"]).needs_key is False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["9000"], "'9000'; options are given as name=value"),
        (["port=x"], "port=x: give a whole number"),
        (["port=70000"], "up to 65535"),
        (["prot=9000"], "no option .prot.; is it port"),
        (["upstream.ulr=http://x"], "is it upstream.url"),
        (["editor.codebook.kk=3"], "no option .editor.codebook.kk.;"),
        (["auth=maybe"], "one of auto, key, none"),
        (["batch_size=0"], "batch_size=0"),
        (["seconds=nan"], "seconds=nan"),
        (["upstream.url=ftp://x"], "upstream.url=ftp://x"),
        (["remote_images=perhaps"], "true or false"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(arguments)


def test_a_mistake_ends_the_command_with_its_line() -> None:
    done = serve("port=x")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith("error: port=x")


def test_hydras_command_line_stays_as_it_is() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rv_edit", "--cfg", "job"], capture_output=True, text=True, cwd=ROOT, timeout=600
    )
    assert done.returncode == 0 and "editor:" in done.stdout and "\nserve:" not in done.stdout


def test_from_start_to_end(vlm_folder: Path, tiny: list[str], tmp_path: Path) -> None:
    data = tmp_path / "data"
    options = (f"model={vlm_folder}", "name=tiny", "seconds=20", *tiny)
    server = Server(*options, data=data)
    made = httpx.post(f"{server.address}/v1/edits", json=edit_body(1), timeout=120)
    assert made.status_code == 201, made.text
    answer = httpx.post(f"{server.address}/v1/chat/completions", json=chat_body(1), timeout=120).json()
    assert len(answer["rv_edit"]["facts"]) == 3
    second = serve(*options, f"data={data}", "port=0")
    assert second.returncode == 2 and "another service uses it" in second.stderr.splitlines()[-1]
    taken = serve(*options, f"data={tmp_path / 'none'}", f"port={server.address.rpartition(':')[2]}")
    assert taken.returncode == 2 and "cannot be listened on (Address already in use)" in taken.stderr.splitlines()[-1]
    assert not (tmp_path / "none").exists() and "Loading" not in taken.stderr
    with socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2]))) as stuck:
        stuck.sendall(b"POST /v1/edits HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{")  # and no more
        assert answers(server.address) and server.stop() == 0, server.log.read_text()
        assert stuck.recv(10_000).startswith(b"HTTP/1.1 503 ")
    log = server.log.read_text()
    assert "Traceback" not in log and server.address in log
