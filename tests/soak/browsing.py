"""A real browser before a service: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
WAIT = 180_000
"""Milliseconds: a busy machine is slow, and nothing here is about speed."""

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser a file; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the dev extra")
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Open]:
    """``visit(address, width=…)``: the page, once it is ready. Faults of its scripts, and foreign requests, fail."""
    contexts: list[Any] = []
    faults: list[str] = []

    def opened(address: str, width: int = 1280, height: int = 900, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(WAIT)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"script: {error}"))
        page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: foreign(request.url, address))
        page.goto(address)
        page.locator("html[data-ready], #key:not([hidden])").first.wait_for()
        return page

    def foreign(url: str, address: str) -> None:
        if not url.startswith((address, "data:", "blob:")):
            faults.append(f"request: {url}")

    yield opened
    for context in contexts:
        context.close()
    assert not faults, faults


def fits(page: Any) -> bool:
    """Whether nothing is wider than the window."""
    wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    return bool(wide[0] <= wide[1])


def focused(page: Any, selector: str) -> bool:
    return bool(page.evaluate("(one) => document.activeElement?.matches(one) ?? false", selector))


def tab_to(page: Any, selector: str, most: int = 80) -> None:
    """Go to an element with the Tab key alone."""
    for _ in range(most):
        if focused(page, selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{selector} is not reached with Tab")
