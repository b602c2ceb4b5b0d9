"""How long the service's page takes: from ready to usable, and from "Apply" to the result, in headless Chromium.

    python benchmarks/page.py --rounds 5

The service runs in a process of its own on the shipped model. Each round opens the page anew, corrects an example that
the model gets wrong with a crop drawn for every fact, and takes that back. Beside the seconds stand the processor
seconds of the service in the same span and the load of the machine: on a busy one the former say little.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.app.serving import Server
from tests.soak.browsing import CHROMIUM
from tests.soak.test_page import ask, choose, drag


def processor(pid: int) -> float:
    """Seconds of processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def once(browser: Any, server: Server) -> dict[str, float]:
    """One round."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(300_000)
    started = time.perf_counter()
    page.goto(server.address)
    page.locator("html[data-ready]").wait_for()
    usable = time.perf_counter() - started
    offered = page.evaluate("async () => (await (await fetch('/v1/examples')).json()).data")
    for example in offered:
        choose(page, example)
        if ask(page) != example["answer"]:
            break
    page.click("#wrong")
    page.locator("#crops li").first.wait_for()
    for fact in range(page.locator("#crops li").count()):
        page.click(f'[data-draw="{fact}"]')
        drag(page, (0.2, 0.2), (0.7, 0.7))
        page.locator(f'.crop.own[data-fact="{fact}"]').wait_for()
        page.click("#drawn")
    page.wait_for_timeout(3000)  # a person reads what was asked before in the meantime
    had = processor(server.process.pid)
    page.click("#apply")
    page.locator(".pairs").wait_for()
    spent = processor(server.process.pid) - had
    took = page.evaluate("performance.getEntriesByName('apply')[0].duration / 1000")
    page.click("#undo-this")
    page.locator('.pairs td[data-title="Now, undone"]').first.wait_for()
    page.context.close()
    return {"usable": usable, "apply": took, "apply_processor": spent, "load": os.getloadavg()[0]}


def main() -> None:
    """Measure, and print a line of JSON a round and the medians."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        server = Server(data=Path(folder) / "data")
        try:
            found = []
            for _ in range(rounds):
                found.append(once(browser, server))
                print(json.dumps({name: round(value, 3) for name, value in found[-1].items()}), flush=True)
        finally:
            server.stop()
            browser.close()
    print(json.dumps({f"median_{name}": round(statistics.median(one[name] for one in found), 3) for name in found[0]}))


if __name__ == "__main__":
    main()
