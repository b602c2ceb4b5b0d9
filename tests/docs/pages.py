"""The pages that people read, and the fenced blocks on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from tests.source_tree import ROOT

BLOCK = re.compile(
    r"(?:^`(?P<file>[\w./]+)`:\n\n)?^```(?P<language>\S*)[^\n]*\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)
COMMANDS = ("", "sh", "bash", "console")
"""Languages of blocks that hold commands; a block without one is taken for such."""


@dataclass(frozen=True)
class Block:
    """A fenced block: on ``page`` from ``line`` on; ``file`` where the page says that it is one."""

    page: str
    line: int
    language: str
    code: str
    file: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """README, CONTRIBUTING and everything under docs/, relative to the root."""
    docs = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
    return ["README.md", "CONTRIBUTING.md", *sorted(docs)]


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@cache
def blocks() -> tuple[Block, ...]:
    """Every fenced block of every page, in order."""
    found = []
    for page in pages():
        text = read(page)
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start("code"))
            found.append(Block(page, line, match["language"], match["code"], match["file"]))
    return tuple(found)


INLINE = re.compile(r"(?<!`)`((?:python|rv-edit|make|pip|hf|bash|mkdocs) [^`]+)`(?!`)")


def inline(page: str) -> list[str]:
    """Commands within the sentences and tables of a page, on one line each."""
    text = BLOCK.sub("", read(page))
    return [" ".join(found.split()) for found in INLINE.findall(text)]
