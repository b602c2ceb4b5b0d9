"""The page of the service in a real browser, with the shipped model: what a person who corrects it does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.serving import Server
from tests.soak.browsing import browser, fits, focused, tab_to, visit

pytestmark = pytest.mark.soak
__all__ = ["browser", "visit"]

Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Server(data=tmp_path_factory.mktemp("page") / "data", wait=900)
    yield server.address
    server.stop()


@pytest.fixture(autouse=True)
def clean(address: str) -> Iterator[None]:
    """Every test begins without edits."""
    yield
    for edit in httpx.get(f"{address}/v1/edits", timeout=60).json()["data"]:
        httpx.delete(f"{address}/v1/edits/{edit['id']}", timeout=60)


@pytest.fixture(scope="module")
def wrong(address: str) -> dict[str, Any]:
    """An example that the model gets wrong, and what it says."""
    for one in httpx.get(f"{address}/v1/examples", timeout=60).json()["data"]:
        parts = [{"type": "image_url", "image_url": {"url": one["image"]}}, {"type": "text", "text": one["question"]}]
        body = {
            "model": httpx.get(f"{address}/v1/about", timeout=60).json()["model"],
            "messages": [{"role": "user", "content": parts}],
            "choices": one["choices"],
        }
        answer = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=180).json()
        said = answer["choices"][0]["message"]["content"]
        if said != one["answer"]:
            return {**one, "said": said}
    raise AssertionError("the model gets every example right")


def said(page: Any) -> str:
    return str(page.locator("#said-answer").inner_text())


def ask(page: Any) -> str:
    page.click("#ask button.main")
    page.locator("#ask button.main:not([aria-disabled])").wait_for()
    page.locator("#said-answer").wait_for()
    return said(page)


def choose(page: Any, example: dict[str, Any]) -> None:
    page.locator(f'#examples button[data-id="{example["id"]}"]').click()
    page.locator('#examples button[aria-pressed="true"]').wait_for()


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a rectangle; places are shares of the picture."""
    page.locator("#overlay.open").scroll_into_view_if_needed()
    box = page.locator("#overlay").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=5)
    page.mouse.up()


def stored(address: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{address}/v1/edits", timeout=60).json()["data"]
    return found


def cells(page: Any, column: int) -> list[str]:
    return [str(text) for text in page.locator(f".pairs tbody td:nth-of-type({column})").all_inner_texts()]


def test_wrong_edited_right_undone_wrong(visit: Visit, address: str, wrong: dict[str, Any]) -> None:
    page = visit(address)
    choose(page, wrong)
    assert ask(page) == wrong["said"]
    assert "no edit is in force" in page.inner_text("#reasons")

    page.click("#wrong")
    assert page.input_value("#right") == wrong["answer"], "an example brings its answer and facts"
    page.click('[data-draw="0"]')
    drag(page, (0.1, 0.2), (0.6, 0.7))
    page.locator(".crop.own").wait_for()
    page.click("#drawn")
    assert "1 part drawn by you" in page.inner_text("#crops li:nth-child(1)")
    page.click("#apply")  # the other facts' parts are found, and shown before anything is stored
    page.locator("#message").wait_for()
    assert "Look at the parts" in page.inner_text("#said") and stored(address) == []
    assert re.search(r"found by the model|found no part", page.inner_text("#crops li:nth-child(2)"))
    page.click("#apply")
    page.locator(".pairs").wait_for()

    (made,) = stored(address)
    side = 144
    assert made["evidence"]["0"] == [pytest.approx([0.1 * side, 0.2 * side, 0.6 * side, 0.7 * side], abs=1.5)]
    assert made["reasoning"] == wrong["reasoning"] and made["answer"] == wrong["answer"]
    before, after = cells(page, 1), cells(page, 2)
    assert len(before) == len(after) == 3, "the question, and two others that mean the same"
    assert before[0].startswith(wrong["said"]) and "wrong" in before[0]
    assert after[0].startswith(wrong["answer"]) and "right" in after[0]
    page.locator(".verdict.yes").wait_for()
    assert said(page) == wrong["answer"] and "Stored facts are used" in page.inner_text("#reasons")
    page.locator(".neighbours canvas").first.wait_for()

    page.reload()
    page.locator("html[data-ready]").wait_for()
    assert page.input_value("#question") == wrong["question"], "a reload keeps what one works on"
    assert "1 part drawn by you" in page.inner_text("#crops li:nth-child(1)")
    assert ask(page) == wrong["answer"]

    page.locator("#edits").get_by_role("button", name="Undo").click()
    page.locator("#no-edits").wait_for()
    assert stored(address) == [] and "Undone" in page.inner_text("#said")
    page.click("#dismiss")
    assert ask(page) == wrong["said"]


def test_an_undone_edit_is_made_again(visit: Visit, address: str, wrong: dict[str, Any]) -> None:
    body = {name: wrong[name] for name in ("image", "question", "answer", "reasoning")}
    made = httpx.post(f"{address}/v1/edits", json={**body, "author": "Ada"}, timeout=180).json()
    page = visit(address)
    page.locator("#edits").get_by_role("button", name="Undo").click()
    page.locator("#action").click()
    page.locator(f"#edit-{made['id']}").wait_for()
    again = stored(address)[0]
    assert {name: again[name] for name in ("id", "evidence", "author", "reasoning")} == {
        name: made[name] for name in ("id", "evidence", "author", "reasoning")
    }
    page.locator("#edits").get_by_role("button", name="Look at it again").click()
    page.locator("#stage:not([hidden])").wait_for()
    page.click("#bound summary")
    page.fill("#choices", "\n".join(wrong["choices"]))
    assert page.input_value("#question") == wrong["question"] and ask(page) == wrong["answer"]


def test_what_is_undone_elsewhere_is_undone_everywhere(visit: Visit, address: str, wrong: dict[str, Any]) -> None:
    page = visit(address)
    choose(page, wrong)
    ask(page)
    page.click("#wrong")
    page.click("#apply")
    page.locator("#message").wait_for()
    page.click("#apply")
    page.locator(".verdict.yes").wait_for()
    page.click("#apply:not([aria-disabled])")
    page.locator(".note").wait_for()
    other = page.context.new_page()
    other.goto(address)
    other.locator("#edits button").first.wait_for()

    page.locator("#edits").get_by_role("button", name="Undo").focus()
    page.keyboard.press("Enter")
    page.locator('.pairs td[data-title="Now, undone"]').first.wait_for()
    page.locator("#message").wait_for()
    assert said(page) == wrong["said"] and page.locator("#undo-this").is_hidden()
    assert page.locator(".note").count() == 0, "what was said of the edit goes with it"
    assert focused(page, "#history-title"), "the keyboard stays where it was"
    page.locator("#action").focus()
    page.keyboard.press("Enter")
    page.locator("#comparing").wait_for(state="hidden")
    page.get_by_text(wrong["answer"], exact=True).and_(page.locator("#said-answer")).wait_for()
    assert focused(page, "#edits > li")

    page.locator("#edits").get_by_role("button", name="Undo").click()
    page.locator("#no-edits").wait_for()
    other.locator("#edits").get_by_role("button", name="Undo").click()
    other.locator("#no-edits").wait_for()
    other.locator("#message").wait_for()
    assert other.inner_text("#said") == "This edit had been undone already."


def test_an_edit_of_somebody_else_is_found_from_the_reasons(visit: Visit, address: str, wrong: dict[str, Any]) -> None:
    page = visit(address)
    choose(page, wrong)
    body = {name: wrong[name] for name in ("image", "question", "answer", "reasoning")}
    made = httpx.post(f"{address}/v1/edits", json=body, timeout=180).json()
    assert ask(page) == wrong["answer"]
    page.locator(f"#edit-{made['id']}").wait_for()
    page.locator("#reasons a").first.click()
    page.wait_for_function("document.activeElement.matches('#edits > li')")


def test_limits_are_told_in_the_words_of_the_page(visit: Visit, address: str, wrong: dict[str, Any]) -> None:
    page = visit(address)
    page.set_input_files("#file", {"name": "note.txt", "mimeType": "text/plain", "buffer": b"no picture"})
    page.locator("#message").wait_for()
    choose(page, wrong)
    assert page.locator("#message").is_hidden(), "what was said of another picture goes"
    for field, text, told in (
        ("#question", "word " * 500, "The question: "),
        ("#facts", "A fact.\n" + "x" * 1500, "Fact 2: "),
        ("#facts", "\n".join(f"Fact {at}." for at in range(20)), "The facts: 20, at most 16"),
    ):
        if field == "#facts" and page.locator("#facts").is_hidden():
            page.fill("#question", wrong["question"])
            ask(page)
            page.click("#wrong")
        page.fill(field, text)
        page.click("#ask button.main" if field == "#question" else "#apply")
        page.locator("#message").wait_for()
        assert page.inner_text("#said").startswith(told)


def test_by_keyboard_alone(visit: Visit, address: str, wrong: dict[str, Any]) -> None:
    page = visit(address)
    keys = page.keyboard
    page.locator(f'#examples button[data-id="{wrong["id"]}"]').wait_for()
    tab_to(page, f'#examples button[data-id="{wrong["id"]}"]')
    keys.press("Enter")
    page.locator('#examples button[aria-pressed="true"]').wait_for()
    tab_to(page, "#question")
    keys.press("Enter")
    page.locator("#said-answer").wait_for()
    tab_to(page, "#wrong")
    keys.press("Space")
    assert focused(page, "#correct-title"), "the next step is where one is"
    tab_to(page, '[data-draw="0"]')
    keys.press("Space")
    assert focused(page, "#overlay")
    keys.press("n")
    assert focused(page, ".crop.own")
    for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown", "Shift+ArrowDown"):
        keys.press(key)
    keys.press("Escape")
    assert focused(page, '[data-draw="0"]'), "back where drawing was begun"
    tab_to(page, "#apply")
    keys.press("Enter")
    page.locator("#message").wait_for()
    assert focused(page, "#apply"), "the place is kept while the model looks"
    keys.press("Enter")
    page.locator(".pairs").wait_for()
    page.locator("#apply:not([aria-disabled])").wait_for()
    third, step = 144 / 3, 144 / 36
    drawn = [third - step, third - step, 2 * third, 2 * third + step]
    assert stored(address)[0]["evidence"]["0"] == [pytest.approx(drawn, abs=0.01)]
    assert focused(page, "#compare-title")

    page.locator(".asked-here").wait_for()
    tab_to(page, "#chart circle")
    first = page.inner_text("#point")
    assert first and first != "Point at a key, or go there with Tab and the arrows."
    told = {first}
    for key in ("End", "Home", "ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown"):
        keys.press(key)
        assert focused(page, "#chart circle")
        told.add(page.inner_text("#point"))
    assert len(told) > 1, "the keys go from one to another"

    page.focus("#compare-title")
    tab_to(page, "#undo-this")
    keys.press("Enter")
    page.locator('.pairs td[data-title="Now, undone"]').first.wait_for()
    assert cells(page, 2)[0].startswith(wrong["said"]) and stored(address) == []


@pytest.mark.parametrize("width", [390, 320])
def test_on_a_phone(visit: Visit, address: str, wrong: dict[str, Any], width: int) -> None:
    page = visit(address, width, 844, has_touch=True, is_mobile=True)
    page.locator("#examples li").first.wait_for()
    assert fits(page)
    choose(page, wrong)
    ask(page)
    page.click("#wrong")
    page.click('[data-draw="0"]')
    touch = page.context.new_cdp_session(page)
    box = page.locator("#overlay").bounding_box()
    for kind, share in (("touchStart", 0.2), ("touchMove", 0.4), ("touchMove", 0.7), ("touchEnd", None)):
        place = [] if share is None else [{"x": box["x"] + share * box["width"], "y": box["y"] + share * box["height"]}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": place})
    page.locator(".crop.own").wait_for()
    assert fits(page)
    page.click("#drawn")
    page.click("#apply")
    page.locator("#message").wait_for()
    page.click("#apply")
    page.locator(".pairs").wait_for()
    page.locator(".neighbours").wait_for()
    assert stored(address)[0]["evidence"]["0"] == [pytest.approx([0.2 * 144] * 2 + [0.7 * 144] * 2, abs=2.5)]
    for details in page.locator("summary").all():
        if details.is_visible():
            details.locator("xpath=..").evaluate("(one) => { one.open = true; }")
    assert fits(page), "nothing is wider than the phone"
    low = page.eval_on_selector_all(
        "button, .button, summary, input:not(.unseen)",
        "(all) => all.filter((one) => one.offsetHeight && one.offsetHeight < 24).map((one) => one.outerHTML)",
    )
    assert not low, "too small for a finger"


def test_words_that_the_model_does_not_know(visit: Visit, address: str) -> None:
    page = visit(address)
    page.fill("#question", "Is the umbrela a zebra?")
    page.locator("#ask-words:not([hidden])").wait_for()
    hint = page.inner_text("#ask-words")
    assert "zebra" in hint and "umbrela (it knows umbrella" in hint
    page.fill("#question", "What is the bottle made of?")
    page.locator("#ask-words").wait_for(state="hidden")


def test_pictures_of_ones_own(visit: Visit, address: str, wrong: dict[str, Any], tmp_path: Path) -> None:
    import base64

    page = visit(address)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    page.set_input_files("#file", str(bad))
    page.locator("#message").wait_for()
    assert "cannot be shown" in page.inner_text("#said") and "\n" not in page.inner_text("#said")
    good = tmp_path / "good.png"
    good.write_bytes(base64.b64decode(wrong["image"].partition(",")[2]))
    page.set_input_files("#file", str(good))
    page.locator("#stage:not([hidden])").wait_for()
    page.fill("#question", wrong["question"])
    page.click("#bound summary")
    page.fill("#choices", "\n".join(wrong["choices"]))
    assert ask(page) == wrong["said"], "the same picture, the same answer"
    page.click("#wrong")
    page.fill("#right", "something else")
    page.click("#apply")
    page.locator("#message").wait_for()
    assert "not among the answers" in page.inner_text("#said") and stored(address) == []


def test_an_edit_that_does_not_help_says_what_may(visit: Visit, address: str, wrong: dict[str, Any]) -> None:
    def unmoved(route: Any) -> None:
        response = route.fetch()
        answer = response.json()
        answer["choices"][0]["message"]["content"] = wrong["said"]
        route.fulfill(response=response, json=answer)

    page = visit(address)
    page.route("**/v1/chat/completions", unmoved)
    choose(page, wrong)
    assert ask(page) == wrong["said"]
    page.click("#wrong")
    page.click("#apply")  # shows the parts that were found
    page.locator("#message").wait_for()
    page.click("#apply")
    page.locator(".pairs").wait_for()
    assert "wrong" in cells(page, 2)[0]
    advice = page.inner_text("#advice")
    assert "still answered wrong" in advice and "It was read with stored facts" in advice
    page.click("#undo-this")
    page.locator('.pairs td[data-title="Now, undone"]').first.wait_for()
    assert page.locator("#advice").count() == 0
