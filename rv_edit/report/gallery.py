"""``gallery.html``: every edit with its picture, evidence, answers and outcomes, in one file without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rv_edit.report.measure import Measured
from rv_edit.report.result import RunResult
from rv_edit.report.table import figure, metric_name, percent, summary_lines
from rv_edit.report.views import EditView, asked_view, clean, edit_view

PAGE = Path(__file__).parent / "page"


@dataclass(frozen=True)
class Gallery:
    """How the page is made.

    Args:
        limit: edits shown at most; up to half of them are those with a wrong answer, so that none hides.
        disturbed: changed answers of the Loc suite listed at most.
        longest: pixels of a picture's longer side at most.
        quality: of the JPEG that larger pictures become.
    """

    limit: int = 60
    disturbed: int = 30
    longest: int = 640
    quality: int = 82

    def write(self, result: RunResult, stream: TextIO) -> None:
        """Write the page piece by piece: one picture at a time is in memory."""
        for piece in self._template.generate(**self._context(result)):
            stream.write(piece)

    def chosen(self, result: RunResult) -> list[int]:
        """Places of the edits that are shown, in their order."""
        places = range(len(result.edits))
        wrong = [place for place in places if any(not row.right for row in result.rows_of(result.edits[place].id))]
        kept = dict.fromkeys([*wrong[: max(self.limit // 2, self.limit - len(places) + len(wrong))], *places])
        return sorted(list(kept)[: self.limit])

    @cached_property
    def _template(self) -> Any:
        environment = Environment(
            loader=FileSystemLoader(PAGE),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        environment.filters["percent"] = percent
        return environment.get_template("gallery.html")

    def _context(self, result: RunResult) -> dict[str, Any]:
        chosen = self.chosen(result)
        loc = [asked_view(row) for row in result.rows if row.question.suite == "loc" and not row.right]
        return {
            "style": Markup((PAGE / "gallery.css").read_text(encoding="utf-8")),
            "script": Markup((PAGE / "gallery.js").read_text(encoding="utf-8")),
            "about": about(result),
            "metrics": _metric_rows(result),
            "lines": [clean(line) for line in summary_lines(result)],
            "cards": self._cards(result, chosen),
            "shown": len(chosen),
            "total": len(result.edits),
            "disturbed": loc[: self.disturbed],
            "disturbed_total": len(loc),
        }

    def _cards(self, result: RunResult, chosen: list[int]) -> Iterator[EditView]:
        for place in chosen:
            yield edit_view(result, place, self.longest, self.quality)


def about(result: RunResult) -> list[tuple[str, str]]:
    """What the page says of its run: the chosen options' names, the seed, the commit."""
    lines: list[tuple[str, str]] = []
    for key in ("editor", "model", "dataset", "protocol"):
        chosen = result.config.get(key)
        name = chosen.get("name") if isinstance(chosen, Mapping) else chosen
        if name is not None:
            lines.append((key, clean(str(name))))
    lines.append(("seed", str(result.seed)))
    if result.git_hash:
        lines.append(("commit", result.git_hash[:12] + ("-dirty" if result.git_hash.endswith("-dirty") else "")))
    return lines


@dataclass(frozen=True)
class _MetricRow:
    name: str
    before: str
    before_range: str
    after: str
    after_range: str
    before_mean: float | None
    after_mean: float | None
    accepted: str
    n: int


def _split(measured: Measured) -> tuple[str, str]:
    """A figure and its interval, which stand below each other where there is little room."""
    mean, _, interval = figure(measured).partition(" [")
    return mean, f"[{interval}" if interval else ""


def _metric_rows(result: RunResult) -> list[_MetricRow]:
    rows = []
    for suite, after in result.metrics["after"].items():
        before = result.metrics["before"][suite]
        if after["n"]:
            rows.append(
                _MetricRow(
                    metric_name(suite),
                    *_split(before),
                    *_split(after),
                    before["mean"],
                    after["mean"],
                    percent(result.accept_rate[suite]),
                    after["n"],
                )
            )
    return rows
