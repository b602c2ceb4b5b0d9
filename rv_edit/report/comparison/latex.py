r"""A table of editors in LaTeX, laid out as the paper's Table 1: ``\usepackage{booktabs}`` is all it needs."""

from __future__ import annotations

from collections.abc import Sequence

from rv_edit.report.comparison.entry import Comparison
from rv_edit.report.comparison.figures import Figure
from rv_edit.report.comparison.paper import SUITES
from rv_edit.report.table import metric_name

SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def escaped(text: str) -> str:
    r"""A text as LaTeX prints it.

    >>> escaped("small_a & 5 %")
    'small\\_a \\& 5 \\%'
    """
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def latex(comparison: Comparison) -> str:
    """A ``table*`` a data set: editors down, models and metrics across, the paper's figures in italics below ours."""
    return "\n".join(line for dataset in comparison.datasets for line in _table(comparison, dataset)) + "\n"


def _table(comparison: Comparison, dataset: str) -> list[str]:
    models, width = comparison.models, len(SUITES)
    groups = " & ".join(rf"\multicolumn{{{width}}}{{c}}{{{escaped(model)}}}" for model in models)
    rules = " ".join(rf"\cmidrule(lr){{{2 + width * at}-{1 + width * (at + 1)}}}" for at in range(len(models)))
    heads = " & ".join(metric_name(suite) for _ in models for suite in SUITES)
    lines = [
        r"\begin{table*}",
        r"\centering\scriptsize\setlength{\tabcolsep}{2pt}",
        rf"\caption{{Editors on {escaped(dataset)}: means over questions with 95\,\% intervals.}}",
        rf"\begin{{tabular}}{{l{'c' * (width * len(models))}}}",
        r"\toprule",
        rf"Editor & {groups} \\",
        rules,
        rf" & {heads} \\",
        r"\midrule",
    ]
    for editor in comparison.editors:
        entries = [comparison.entry(editor, model, dataset) for model in models]
        lines.append(_row(editor, [_mark(None if e is None else e.figure(suite)) for e in entries for suite in SUITES]))
        columns = [comparison.paper(model, dataset).get(editor) for model in models]
        if any(columns):
            theirs = [
                rf"\textit{{{column[suite].mean:.2f}}}" if column else "" for column in columns for suite in SUITES
            ]
            lines.append(rf"\textit{{paper}} & {' & '.join(theirs)} \\")
    return [*lines, r"\bottomrule", r"\end{tabular}", r"\end{table*}", ""]


def _row(editor: str, cells: Sequence[str]) -> str:
    return rf"{escaped(editor)} & {' & '.join(cells)} \\"


def _mark(figure: Figure | None) -> str:
    if figure is None:
        return "--"
    return rf"{figure.mean:.2f}$_{{[{figure.low:.2f},{figure.high:.2f}]}}$"
