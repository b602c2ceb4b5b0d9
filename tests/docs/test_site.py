"""The guide as a site: every page can be found, and nothing in it is fetched from elsewhere."""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import pages
from tests.source_tree import ROOT

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}
"""Elements that make a browser fetch something at once; links do so where they are no mere reference."""
REFERENCES = {"canonical", "next", "prev", "alternate"}


def options() -> dict[str, Any]:
    """``mkdocs.yml``."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return found


def in_order(nav: list[Any]) -> Iterator[str]:
    """Pages of the navigation, as a reader meets them."""
    for item in nav:
        for entry in item.values() if isinstance(item, dict) else [item]:
            if isinstance(entry, list):
                yield from in_order(entry)
            else:
                yield entry


def test_every_page_stands_in_the_navigation_once() -> None:
    listed = list(in_order(options()["nav"]))
    parts = {"topology_head.md", "topology_criterion.md", "topology_cost.md"}
    left_out = parts | {"results/pocket_notes.md", "results/pocket_keys_notes.md"}  # parts of other pages
    there = {page.removeprefix("docs/") for page in pages() if page.startswith("docs/")}
    assert len(listed) == len(set(listed))
    assert set(listed) == there - left_out, "give mkdocs.yml a line for it: a page that nobody finds is not read"
    first = [listed.index(page) for page in ("index.md", "quickstart.md", "own_model_and_data.md", "metrics.md")]
    assert first == [0, 1, 2, 3], "a newcomer's way"


class Fetches(HTMLParser):
    """What a browser fetches for a page, and where its text leads."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in FETCHED and given.get(FETCHED[tag]):
            self.addresses.append(str(given[FETCHED[tag]]))
        if tag == "link" and given.get("href") and given.get("rel") not in REFERENCES:
            self.addresses.append(str(given["href"]))


def elsewhere(page: Path) -> list[str]:
    """Addresses on other machines that a page fetches."""
    reader = Fetches()
    reader.feed(page.read_text(encoding="utf-8"))
    return [address for address in reader.addresses if re.match(r"(?:\w+:)?//", address)]


def test_a_page_that_fetches_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    text = (
        '<a href="https://a.b/c"></a><link rel="canonical" href="https://a.b/"><img src="own.png"><script src="x.js">'
    )
    page.write_text(text)
    assert not elsewhere(page)
    page.write_text(
        text + '</script><link rel="stylesheet" href="//fonts.b/x"><script src="https://a.b/x.js"></script>'
    )
    assert elsewhere(page) == ["//fonts.b/x", "https://a.b/x.js"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``.ci/run`` builds it."""
    if find_spec("material") is None:
        pytest.skip("needs mkdocs-material (pip install -e '.[docs]')")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.soak
def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    built = sorted(site.rglob("*.html"))
    assert len(built) == len(list(in_order(options()["nav"]))) + 1  # and the page of what is not found
    assert {page.relative_to(site).as_posix(): found for page in built if (found := elsewhere(page))} == {}
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", styles)


@pytest.mark.soak
@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_a_browser_without_a_network_shows_it(site: Path, tmp_path: Path) -> None:
    """The page as a browser builds it that reaches this machine alone; its scripts ask for the site's search index."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            asked.append(self.path.partition("?")[0])

    handler = functools.partial(Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/metrics.html"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        alone = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
        command = [str(BROWSER), *flags, alone, "--virtual-time-budget=20000", "--dump-dom", address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert "<title>Reading the metrics" in done.stdout
    assert re.search(r'<html[^>]* class="[^"]*\bjs\b', done.stdout), "its scripts did not run"
    assert "/search/search_index.json" in asked, f"the search has nothing to search: {asked}"
    assert "calibrated" in (site / "search/search_index.json").read_text(encoding="utf-8")
