"""What the paper says of its editors (4.3), each put to the figures of one model on one data set.

A claim *agrees* where the intervals bear it out, *differs* where they bear out the contrary, and otherwise they *cannot
tell* (:mod:`rv_edit.report.comparison.figures`). Only the paper's own editors are judged. The same claims are put to
the paper's table as well, which gives no intervals: some of its sentences are stronger than its figures.

"Marginal", "small" and "close" are no numbers in the paper; here they are those of :class:`Words`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rv_edit.report.comparison.entry import Comparison
from rv_edit.report.comparison.figures import (
    AGREES,
    CANNOT_TELL,
    DIFFERS,
    Figure,
    above,
    difference,
    mean_of,
    together,
    within,
)
from rv_edit.report.comparison.paper import SUITES
from rv_edit.report.table import metric_name

UNEDITED, OURS, COT = "Unedited", "ReasonEdit", "-COT"
PLAIN = ("FT", "MEND", "IKE", "GRACE", "BalancEdit")
REASONING = ("FT-COT", "MEND-COT", "GRACE-COT", "BalancEdit-COT")
CHANGING = ("FT", "MEND", "BalancEdit")
"""Editors that answer with changed weights, and whose locality suffers by it in the paper."""
REASONED = ("r_gen", "coe_gen")

Verdict = tuple[str, str]
Figures = Mapping[str, Mapping[str, Figure]]
"""Editor -> suite -> figure, as far as there are any."""


@dataclass(frozen=True)
class Words:
    """What is read into words that the paper gives no number for.

    Attributes:
        marginal: share of ReasonEdit's gain over the unedited model up to which another's is marginal.
        close: distance up to which two figures are close, or similar.
    """

    marginal: float = 0.5
    close: float = 0.05


@dataclass(frozen=True)
class Claim:
    """A sentence of 4.3 and how it is put to figures."""

    text: str
    put: Callable[[Figures, Words], Verdict]


def _judged(parts: Sequence[tuple[str, Figure, str]]) -> Verdict:
    """One verdict of several comparisons, each named, with its difference and its own verdict."""
    if not parts:
        return CANNOT_TELL, "not measured"
    verdict = together([own for _, _, own in parts])
    counts = {name: sum(own == name for _, _, own in parts) for name in dict.fromkeys(own for _, _, own in parts)}
    # The nearest to the contrary where all agree, the clearest where one differs.
    kept = [part for part in parts if part[2] == verdict]
    shown = (max if verdict == DIFFERS else min)(kept, key=lambda part: abs(part[1].mean))
    told = ", ".join(f"{count} of {len(parts)} {PLURAL[name]}" for name, count in counts.items())
    return verdict, f"{told}; e.g. {shown[0]}: {shown[1]}"


PLURAL = {AGREES: "agree", DIFFERS: "differ", CANNOT_TELL: "cannot be told"}


def better(suites: Sequence[str], others: Sequence[str]) -> Callable[[Figures, Words], Verdict]:
    """ReasonEdit is above each of ``others`` in each of ``suites``."""

    def put(figures: Figures, words: Words) -> Verdict:
        parts = []
        for suite in suites:
            for other in others:
                pair = _pair(figures, (OURS, suite), (other, suite))
                if pair is not None:
                    parts.append((f"{metric_name(suite)}, against {other}", pair, above(pair)))
        return _judged(parts)

    return put


def marginal(figures: Figures, words: Words) -> Verdict:
    """No prior editor gains more than a share of what ReasonEdit gains over the unedited model, in R-Gen and CoE-Gen.

    That is, its figure is at most ``unedited + share · (ReasonEdit − unedited)``.
    """
    parts = []
    for suite in REASONED:
        base, best = (figures.get(name, {}).get(suite) for name in (UNEDITED, OURS))
        for other in PLAIN:
            theirs = figures.get(other, {}).get(suite)
            if base is None or best is None or theirs is None:
                continue
            pieces = [(theirs, 1.0), (base, -(1 - words.marginal)), (best, -words.marginal)]
            beyond = _weighted(pieces)
            parts.append((f"{metric_name(suite)}, {other} beyond the bound by", beyond, within(beyond, 0.0)))
    return _judged(parts)


def similar(others: Sequence[str], suite: str) -> Callable[[Figures, Words], Verdict]:
    """ReasonEdit is at most ``close`` below each of ``others``."""

    def put(figures: Figures, words: Words) -> Verdict:
        parts = []
        for other in others:
            pair = _pair(figures, (other, suite), (OURS, suite))
            if pair is not None:
                parts.append((f"{metric_name(suite)}, {other} above by", pair, within(pair, words.close)))
        return _judged(parts)

    return put


def reasoning_gains(figures: Figures, words: Words) -> Verdict:
    """The -COT forms are above the plain ones, on average over editors, in R-Gen and in CoE-Gen."""
    parts = []
    for suite in REASONED:
        pairs = [_pair(figures, (name, suite), (name.removesuffix(COT), suite)) for name in REASONING]
        known = [pair for pair in pairs if pair is not None]
        if len(known) == len(REASONING):
            mean = mean_of(known)
            parts.append((f"{metric_name(suite)}, mean gain", mean, above(mean)))
    return _judged(parts)


def close_to_unedited(figures: Figures, words: Words) -> Verdict:
    """No -COT form is more than ``close`` above the unedited model in R-Gen and CoE-Gen."""
    parts = []
    for suite in REASONED:
        for name in REASONING:
            pair = _pair(figures, (name, suite), (UNEDITED, suite))
            if pair is not None:
                parts.append((f"{metric_name(suite)}, {name} above by", pair, within(pair, words.close)))
    return _judged(parts)


def _pair(figures: Figures, one: tuple[str, str], other: tuple[str, str]) -> Figure | None:
    a, b = (figures.get(editor, {}).get(suite) for editor, suite in (one, other))
    return None if a is None or b is None else difference(a, b)


def _weighted(pieces: Sequence[tuple[Figure, float]]) -> Figure:
    """A sum of independent figures with weights, with its interval (as :func:`difference`)."""
    mean = sum(figure.mean * weight for figure, weight in pieces)
    low = sum((weight * (figure.mean - (figure.low if weight > 0 else figure.high))) ** 2 for figure, weight in pieces)
    high = sum((weight * ((figure.high if weight > 0 else figure.low) - figure.mean)) ** 2 for figure, weight in pieces)
    return Figure(mean, mean - low**0.5, mean + high**0.5)


CLAIMS = (
    *(
        Claim(
            f"ReasonEdit outperforms every prior editor and its reasoning variant: {metric_name(suite)}",
            better((suite,), (*PLAIN, *REASONING)),
        )
        for suite in SUITES
        if suite != "loc"
    ),
    Claim("ReasonEdit significantly improves R-Gen and CoE-Gen over the unedited model", better(REASONED, (UNEDITED,))),
    Claim("Prior editors only marginally exceed the unedited model in R-Gen and CoE-Gen", marginal),
    Claim("ReasonEdit has strong locality: above the editors that change weights", better(("loc",), CHANGING)),
    Claim("… and similar to IKE and GRACE", similar(("IKE", "GRACE"), "loc")),
    Claim("ReasonEdit attains higher T-Gen and I-Gen than prior editors", better(("t_gen", "i_gen"), PLAIN)),
    Claim("Reasoning variants yield gains in R-Gen and CoE-Gen overall", reasoning_gains),
    Claim("… but stay close to the unedited model in both", close_to_unedited),
    Claim(
        "Reasoning supervision alone is not enough: ReasonEdit is above every reasoning variant in both",
        better(REASONED, REASONING),
    ),
)
"""The sentences of 4.3, in its order."""


def figures_of(comparison: Comparison, model: str, dataset: str) -> dict[str, dict[str, Figure]]:
    """All figures of a model on a data set."""
    found: dict[str, dict[str, Figure]] = {}
    for entry in comparison.finished:
        if (entry.model, entry.dataset) == (model, dataset):
            found[entry.editor] = {suite: figure for suite in SUITES if (figure := entry.figure(suite)) is not None}
    return found


def claims_section(comparison: Comparison, words: Words | None = None) -> list[str]:
    """The verdicts as a part of a Markdown page; nothing where no model has two editors."""
    words = words or Words()
    columns: list[tuple[str, Figures, Figures]] = []
    for dataset in comparison.datasets:
        for model in comparison.models:
            figures = figures_of(comparison, model, dataset)
            if len(figures) > 1:
                columns.append((f"`{model}`, `{dataset}`", figures, comparison.paper(model, dataset)))
    if not columns:
        return []
    lines = ["## The claims of the paper's 4.3", "", _how(words), ""]
    heads = [part for name, _, paper in columns for part in ([name, "*paper's figures*"] if paper else [name])]
    lines += [f"| claim | {' | '.join(heads)} |", f"| --- |{' --- |' * len(heads)}"]
    told: list[str] = []
    for number, claim in enumerate(CLAIMS, 1):
        cells = []
        for name, ours, paper in columns:
            verdict, why = claim.put(ours, words)
            cells.append(f"**{verdict}**" if verdict != CANNOT_TELL else verdict)
            told.append(f"- {number}, {name}: {why}")
            if paper:
                cells.append(f"*{claim.put(paper, words)[0]}*")
        lines.append(f"| {number}. {claim.text} | {' | '.join(cells)} |")
    return [*lines, "", "What decides:", "", *told, ""]


def _how(words: Words) -> str:
    return (
        "A claim agrees where 95 % intervals of differences bear it out, differs where one bears out the contrary, and "
        f"else cannot be told. Read into words: marginal, at most {words.marginal:g} of ReasonEdit's gain over the "
        f"unedited model; close or similar, at most {words.close:g} apart. The paper's own figures, put to the same "
        "test, come without intervals."
    )
