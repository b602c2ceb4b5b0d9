"""Addresses: private ones are never asked, whatever name, redirect or second look-up leads there."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from rv_edit.app import fetching
from rv_edit.app.errors import RequestError
from rv_edit.app.fetching import checked_address, fetch, is_public
from rv_edit.app.settings import Remote

ON = Remote(allowed=True, seconds=5.0, redirects=2)


class Pages(BaseHTTPRequestHandler):
    asked: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.headers["Host"], self.path))
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path.partition("?")[2])
            self.end_headers()
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            for _ in range(50):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.1)
        elif self.path == "/slow_head":
            for _ in range(100):
                self.wfile.write(b"H")
                self.wfile.flush()
                time.sleep(0.1)
        elif self.path == "/none":
            self.send_error(404)
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"a picture" * 100)

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server at ``public.test``, which for once counts as public although it is here."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    Pages.asked.clear()
    names = {"public.test": ["127.0.0.1"], "private.test": ["172.16.1.2"], "both.test": ["127.0.0.1", "172.16.1.2"]}

    def resolve(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if host not in names:
            names_or_literal = [host] if host.replace(".", "").isdigit() or ":" in host else []
            if not names_or_literal:
                raise socket.gaierror("no such host")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in names[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(fetching, "is_public", lambda text: text == "127.0.0.1")
    yield f"http://public.test:{port}"
    server.shutdown()
    server.server_close()


def test_private_addresses_in_every_spelling() -> None:
    private = (
        "127.0.0.1", "127.1.2.3", "0.0.0.0", "10." + "0.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1",
        "::ffff:a00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1", "not an address", "192." + "168.0.1",
    )  # fmt: skip
    assert [text for text in private if is_public(text)] == []
    assert all(map(is_public, ("8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808")))


def test_a_picture_is_fetched(site: str) -> None:
    assert fetch(f"{site}/a?b=c", ON, 10_000) == b"a picture" * 100
    assert fetch(f"{site}/to?/a", ON, 10_000) == b"a picture" * 100
    assert [path for _, path in Pages.asked] == ["/a?b=c", "/to?/a", "/a"]
    assert {host.partition(":")[0] for host, _ in Pages.asked} == {"public.test"}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("http://private.test/x", "private address"),
        ("http://both.test/x", "private address"),
        ("http://172.16.9.8/x", "private address"),
        ("http://[::1]/x", "private address"),
        ("http://nowhere.test/x", "cannot be found"),
        ("{site}/to?http://private.test/x", "private address"),
        ("{site}/to?http://169.254.169.254/latest", "private address"),
        ("{site}/to?file:///etc/passwd", "http or https"),
        ("{site}/to?/to?/to?/a", "more than 2 redirects"),
        ("{site}/to?http://[", "no valid address"),
        ("{site}/none", "answered 404"),
        ("ftp://public.test/x", "http or https"),
        ("http://user:word@public.test/x", "http or https"),
        ("http:///x", "http or https"),
        ("http://public.test:99999/x", "no valid address"),
    ],
)
def test_what_is_refused(site: str, path: str, said: str) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        fetch(path.format(site=site), ON, 10_000)
    assert "\n" not in str(caught.value)


def test_nothing_is_asked_where_it_is_not_allowed(site: str) -> None:
    with pytest.raises(RequestError, match="not fetched from addresses"):
        fetch(f"{site}/a", Remote(False, 5.0, 2), 10_000)
    assert Pages.asked == []


def test_size_and_time_are_bounded(site: str) -> None:
    with pytest.raises(RequestError, match="more than 100 bytes") as caught:
        fetch(f"{site}/a", ON, 100)
    assert caught.value.status == 413
    for path in ("slow", "slow_head"):
        started = time.monotonic()
        with pytest.raises(RequestError, match="too slow|cannot be fetched"):
            fetch(f"{site}/{path}", Remote(True, 0.5, 2), 10_000)
        assert time.monotonic() - started < 4


def test_the_address_that_was_checked_is_the_one_connected_to(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers otherwise the second time gains nothing: it is asked once."""
    answers = iter([["127.0.0.1"], ["172.16.1.2"], ["172.16.1.2"]])
    asked: list[str] = []

    def rebinding(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(answers)]

    connected: list[str] = []
    real = socket.create_connection
    monkeypatch.setattr(socket, "getaddrinfo", rebinding)

    def connect(address: tuple[str, int], **options: Any) -> socket.socket:
        connected.append(address[0])
        sock = socket.socket()
        sock.settimeout(options.get("timeout"))
        sock.connect(address)
        return sock

    monkeypatch.setattr(socket, "create_connection", connect)
    assert fetch(f"{site}/a", ON, 10_000)
    assert asked == ["public.test"] and connected == ["127.0.0.1"] and real is not connect
    with pytest.raises(RequestError, match="private address"):
        checked_address("public.test", 80)
