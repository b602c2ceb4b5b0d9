"""The page in a real browser before a tiny model: markup in facts, keys, a service that goes away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.conftest import edit_body, listen, loaded, serve, tiny
from tests.soak.browsing import browser, visit

pytestmark = pytest.mark.soak
__all__ = ["browser", "listen", "loaded", "serve", "tiny", "visit"]

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script><b id=evil>bold</b>"


def test_markup_of_others_is_shown_as_text(visit: Callable[..., Any], listen: Callable[..., str]) -> None:
    address = listen()
    body = edit_body(1, answer=EVIL, reasoning=[EVIL], evidence={}, author=EVIL[:180], id="a")
    made = httpx.post(f"{address}/v1/edits", json={**body, "question": f"What? {EVIL}"}, timeout=180)
    assert made.status_code == 201, made.text
    page = visit(address)
    page.locator("#edits > li").wait_for()
    page.locator("#chart circle").first.wait_for()
    page.locator("#chart circle").last.focus()
    assert "<b id=evil>" in page.inner_text("#point")
    page.locator("#edits").get_by_role("button", name="Look at it again").click()
    page.locator("#stage:not([hidden])").wait_for()
    page.click("#ask button.main")
    page.locator(".neighbours").wait_for()
    page.click("#wrong")
    page.locator("#crops li").wait_for()
    for place in ("#edits", "#reasons", "#crops"):
        assert "<b id=evil>" in page.inner_text(place), f"{place} shows it, as it was written"
    assert page.locator("#evil, img[src=x], body script").count() == 0
    assert page.title() == "rv_edit: correct a model in words"


def test_scripts_from_elsewhere_cannot_run(visit: Callable[..., Any], listen: Callable[..., str]) -> None:
    """Were a fact ever made into markup, the page's policy would still stop it."""
    page = visit(listen())
    page.evaluate("(evil) => { document.body.insertAdjacentHTML('beforeend', evil); }", EVIL)
    page.evaluate("() => { const one = document.createElement('script'); one.textContent = \"document.title='owned'\"; "
                  "document.body.append(one); }")  # fmt: skip
    page.wait_for_timeout(300)
    assert page.title() == "rv_edit: correct a model in words" and page.locator("#evil").count() == 1


def test_the_key_is_asked_for(visit: Callable[..., Any], listen: Callable[..., str], tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("Ada aaaaaaaaaaaaaaaaaaaa\n")
    page = visit(listen(auth="key", keys=str(keys)))
    page.locator("#key").wait_for()
    page.fill("#key-text", "not-the-key-of-anybody")
    page.keyboard.press("Enter")
    page.locator("#said", has_text="does not know this key").wait_for()
    assert page.locator("#key").is_visible()
    page.fill("#key-text", "aaaaaaaaaaaaaaaaaaaa")
    page.keyboard.press("Enter")
    page.locator("html[data-ready]").wait_for()
    page.locator("#about", has_text="you are Ada").wait_for()
    assert page.locator("#key").is_hidden()
    page.reload()
    page.locator("#about", has_text="you are Ada").wait_for()


def test_trouble_is_told_in_one_line(visit: Callable[..., Any], listen: Callable[..., str]) -> None:
    page = visit(listen())
    page.fill("#question", "What?")
    page.click("#ask button.main")
    page.locator("#said", has_text="Choose a picture first.").wait_for()
    page.context.set_offline(True)
    page.evaluate("() => document.dispatchEvent(new Event('rv-edits'))")
    page.locator("#said", has_text="does not answer").wait_for()
    page.click("#dismiss")
    assert page.locator("#message").is_hidden()
