"""A table of editors as a Markdown page, laid out as the paper's Table 1 with its figures beside ours."""

from __future__ import annotations

from collections.abc import Sequence

from rv_edit.report.comparison.claims import claims_section
from rv_edit.report.comparison.entry import Comparison, Entry
from rv_edit.report.comparison.figures import Figure
from rv_edit.report.comparison.paper import SUITES
from rv_edit.report.table import metric_name

COSTS = {"seconds_per_edit": "s an edit", "peak_memory_mb": "peak MB", "kb_per_edit": "KB an edit"}
"""What an edit costs -> the head of its column; the peak is that of the process (or accelerator) while editing."""
WHAT_IT_IS = (
    "Every cell is one run of `task=edit` on a model's real errors, edited one after the other, then asked everything.",
    "Figures are means over questions with 95 % intervals (bootstrap over edits; Loc: Wilson over questions). An edit",
    "that diverges is rolled back and stays in the figures. *Italics*: the paper's Table 1, on the model and data set",
    "that it names. `–`: not run yet, or not asked.",
)


def page(comparison: Comparison, command: str | None = None, about: Sequence[str] = ()) -> str:
    """The whole page.

    Args:
        comparison: the cells.
        command: that made them.
        about: further lines, e.g. machine and date.
    """
    lines = ["# Editors side by side", "", *WHAT_IT_IS, ""]
    if command:
        lines += [f"Made by `{command}`.", ""]
    lines += [*about, ""] if about else []
    lines += [_state(comparison), ""]
    for place, dataset in enumerate(comparison.datasets):
        lines += _block(comparison, dataset, chr(ord("a") + place % 26))
    lines += claims_section(comparison)
    failed = comparison.failed
    if failed:
        lines += ["## Cells that failed", ""]
        lines += [
            f"- {entry.editor}, `{entry.model}`, `{entry.dataset}`: {_plain(entry.reason or '')}" for entry in failed
        ]
        lines.append("")
    return "\n".join(lines)


def mark(figure: Figure | None) -> str:
    """A mean with its interval below it.

    >>> mark(Figure(0.5, 0.25, 0.75)), mark(None)
    ('0.50 <sub>.25–.75</sub>', '–')
    """
    if figure is None:
        return "–"
    return f"{figure.mean:.2f} <sub>{_short(figure.low)}–{_short(figure.high)}</sub>"


def _short(value: float) -> str:
    return f"{value:.2f}".removeprefix("0") if value < 0.995 else "1"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _block(comparison: Comparison, dataset: str, letter: str) -> list[str]:
    """A data set: figures with the paper's, then costs."""
    models = comparison.models
    lines = [f"## ({letter}) `{dataset}`", ""]
    heads = [
        f"`{model}` {metric_name(suite)}" if suite == SUITES[0] else metric_name(suite)
        for model in models
        for suite in SUITES
    ]
    lines += [_row(["editor", *heads]), _row(["---"] * (1 + len(heads)))]
    for editor in comparison.editors:
        entries = [comparison.entry(editor, model, dataset) for model in models]
        cells = [mark(None if entry is None else entry.figure(suite)) for entry in entries for suite in SUITES]
        lines.append(_row([editor, *cells]))
        columns = [comparison.paper(model, dataset).get(editor) for model in models]
        if any(columns):
            theirs = [f"*{column[suite].mean:.2f}*" if column else "" for column in columns for suite in SUITES]
            lines.append(_row(["*paper*", *theirs]))
    asked = [text for model in models if (text := _asked(comparison, model, dataset))]
    beside = [f"`{m}` beside the paper's {comparison.paper_models[m]}" for m in models if comparison.paper(m, dataset)]
    lines += ["", " ".join(f"{text}." for text in (*asked, "; ".join(beside)) if text), ""]
    heads = [
        f"`{model}` {head}" if place == 0 else head
        for model in models
        for place, head in enumerate(("edits", "not made", *COSTS.values()))
    ]
    lines += [_row(["editor", *heads]), _row(["---"] * (1 + len(heads)))]
    for editor in comparison.editors:
        entries = [comparison.entry(editor, model, dataset) for model in models]
        lines.append(_row([editor, *(cell for entry in entries for cell in costs(entry))]))
    return [*lines, ""]


def costs(entry: Entry | None) -> list[str]:
    """Edits asked for, those that were not made, and what one costs."""
    if entry is None or entry.results is None:
        return ["–"] * (2 + len(COSTS))
    diverged, refused = entry.counted("edits_diverged"), entry.counted("edits_refused")
    lost = [f"{count} {what}" for count, what in ((diverged, "diverged"), (refused, "refused")) if count]
    found = [entry.cost(name) for name in COSTS]
    seconds, peak, kilobytes = ("–" if value is None else f"{value:.3g}" for value in found)
    peak = "–" if found[1] is None else f"{found[1]:.0f}"
    return [str(entry.edits), ", ".join(lost) or "0", seconds, peak, kilobytes]


def _asked(comparison: Comparison, model: str, dataset: str) -> str:
    """How many questions the figures of a model rest on, where all its editors were asked the same."""
    entries = [entry for entry in comparison.finished if (entry.model, entry.dataset) == (model, dataset)]
    counts = {tuple(entry.questions(suite) for suite in SUITES) for entry in entries}
    if len(counts) != 1:
        return ""
    parts = [f"{metric_name(suite)} {count}" for suite, count in zip(SUITES, counts.pop(), strict=True)]
    return f"Questions to `{model}`: {', '.join(parts)}"


def _state(comparison: Comparison) -> str:
    finished, missing, failed = (len(part) for part in (comparison.finished, comparison.missing, comparison.failed))
    return (
        f"Of {finished + missing + failed} cells {finished} are finished, {missing} have not run yet, {failed} failed."
    )


def _plain(text: str) -> str:
    """Text of elsewhere, which must not end a list or begin markup."""
    return text.replace("`", "'").replace("<", "‹").replace("\n", " ")
