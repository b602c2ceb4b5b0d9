"""Nothing but the adapters and the options of models names a family: everything else works on any."""

from __future__ import annotations

import re

from rv_edit.vlm import known_families
from tests.source_tree import PACKAGES, ROOT, files

HOMES = ("rv_edit/vlm/", "conf/model/", "conf/task/checker/")
"""Adapters, and the options that say which checkpoint is loaded."""
TRAINS = "rv_edit/pocket/"
"""Exempt: it builds and trains small models of the families, so it must name their classes."""
DEFAULT = re.compile(r"^  - model: \w+$", re.MULTILINE)
"""Exempt in conf/config.yaml: which file of conf/model/ is used where none is named."""


def bare(text: str) -> str:
    """Lower case, without what names are parted by."""
    return re.sub(r"[-_. ]", "", text.lower())


def family_names() -> set[str]:
    """``llava``, …: model types and the names of the adapters' files."""
    families = known_families()
    return {bare(name) for name in families} | {bare(cls.__module__.rpartition(".")[2]) for cls in families.values()}


def test_names_are_recognised() -> None:
    assert family_names() == {"instructblip", "llava", "qwen3vl"}
    assert bare("Qwen/Qwen3-VL-4B") == "qwen/qwen3vl4b" and bare("InstructBlip_7b") == "instructblip7b"


def test_no_family_is_named_elsewhere() -> None:
    found, seen = [], 0
    places = files(".py", ".yaml", ".html", ".js", ".css", under=(*PACKAGES, "conf"))
    for path in [*places, ROOT / "run.py"]:
        place = path.relative_to(ROOT).as_posix()
        if place.startswith((*HOMES, TRAINS)):
            continue
        seen += 1
        text = path.read_text(encoding="utf-8")
        if place == "conf/config.yaml":
            text, count = DEFAULT.subn("", text)
            assert count == 1
        for number, line in enumerate(text.splitlines(), 1):
            found += [f"{place}:{number}: {line.strip()[:80]}" for name in family_names() if name in bare(line)]
    assert seen > 80
    assert not found, "only rv_edit/vlm/, conf/model/ and rv_edit/pocket/ may name a family:\n" + "\n".join(found)
