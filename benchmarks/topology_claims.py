"""What the paper says of the topology of embeddings (4.5, 4.6, A.4), each put to the tables of one model and data set.

A claim is a difference that should be above 0. It *agrees* where the difference is more than two standard errors above
0, *differs* where it is as far below, and otherwise the tables *cannot tell*. Errors are those of the mean over
networks, as if layers were measured on networks of their own: wider than they are, since all are measured on the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
AGREES, DIFFERS, CANNOT_TELL = "agrees", "differs", "cannot tell"
UNKNOWN = (CANNOT_TELL, "not measured")
Verdict = tuple[str, str]


@dataclass(frozen=True)
class Figure:
    """A mean over networks with its standard error."""

    mean: float
    error: float = 0.0

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.error:.4f}"


@dataclass(frozen=True)
class Tables:
    """The tables of a model and data set; those that are missing are empty."""

    networks: int
    layers: Sequence[Row]
    balance: Sequence[Row]
    lam: float | None
    sizes: Sequence[Row] = ()
    keys: Sequence[Row] = ()

    def figure(self, row: Row, measure: str) -> Figure | None:
        """A cell of a table; ``None`` where it is empty."""
        if row[f"{measure}_mean"] in (None, ""):
            return None
        # One network says nothing of how far another would lie from it.
        error = float(row[f"{measure}_std"]) / math.sqrt(self.networks) if self.networks > 1 else math.inf
        return Figure(float(row[f"{measure}_mean"]), error)

    def column(self, measure: str, pooling: str, block: str | None = None) -> list[tuple[str, Figure]]:
        """A measure of all layers of a block, by name, in order; empty where it cannot be told."""
        rows = [row for row in self.layers if row["pooling"] == pooling and block in (None, row["block"])]
        found = [(f"{row['block']} {row['index']}", self.figure(row, measure)) for row in rows]
        return [(name, value) for name, value in found if value is not None]


def compared(one: Figure, other: Figure) -> str:
    """Whether the first is greater."""
    error = math.hypot(one.error, other.error)
    apart = one.mean - other.mean
    if abs(apart) <= 2 * error or apart == 0:
        return CANNOT_TELL
    return AGREES if apart > 0 else DIFFERS


def together(verdicts: Sequence[str]) -> str:
    """Of several parts of one claim: all agree, or one differs, or neither."""
    if DIFFERS in verdicts:
        return DIFFERS
    return AGREES if verdicts and all(verdict == AGREES for verdict in verdicts) else CANNOT_TELL


def greatest(column: Sequence[tuple[str, Figure]]) -> tuple[str, Figure]:
    """The layer with the greatest mean."""
    return max(column, key=lambda item: item[1].mean)


def late_vision_peaks(tables: Tables) -> Verdict:
    """Mean pooling: Q_B is greatest in the later half of the vision blocks."""
    column = tables.column("bimodal_modularity", "mean", "vision")
    if len(column) < 2:
        return CANNOT_TELL, "there is one vision block"
    half = len(column) // 2
    early, late = greatest(column[:half]), greatest(column[half:])
    return compared(late[1], early[1]), f"best later block {late[0]}: {late[1]}, best earlier {early[0]}: {early[1]}"


def vision_peaks_over_all(tables: Tables) -> Verdict:
    """Mean pooling: Q_B is greater in the best vision block than in any other layer."""
    vision = greatest(tables.column("bimodal_modularity", "mean", "vision"))
    others = [item for item in tables.column("bimodal_modularity", "mean") if not item[0].startswith("vision")]
    other = greatest(others)
    return compared(vision[1], other[1]), f"{vision[0]}: {vision[1]}, {other[0]}: {other[1]}"


def mean_beats_last(tables: Tables) -> Verdict:
    """The greatest Q_B of any layer is greater with mean pooling than with the last token."""
    mean, last = (greatest(tables.column("bimodal_modularity", pooling)) for pooling in ("mean", "last"))
    return compared(mean[1], last[1]), f"mean, {mean[0]}: {mean[1]}; last, {last[0]}: {last[1]}"


def above_zero(measure: str, pooling: str, block: str | None) -> Callable[[Tables], Verdict]:
    """A bias is above 0 in every layer of a block."""

    def put(tables: Tables) -> Verdict:
        column = tables.column(measure, pooling, block)
        if not column:
            return UNKNOWN
        verdicts = [compared(value, Figure(0.0)) for _, value in column]
        low = min(column, key=lambda item: item[1].mean)
        high = greatest(column)
        above = sum(verdict == AGREES for verdict in verdicts)
        told = f"{above} of {len(column)} layers above 0; from {low[1]} ({low[0]}) to {high[1]} ({high[0]})"
        return together(verdicts), told

    return put


def trade_off(tables: Tables) -> Verdict:
    """From the smallest λ to the greatest Q_V falls and Q_L rises."""
    ends = tables.balance[0], tables.balance[-1]
    v, q = ([tables.figure(row, f"{name}_modularity") for row in ends] for name in ("vision", "language"))
    assert v[0] and v[1] and q[0] and q[1]
    return (
        together([compared(v[0], v[1]), compared(q[1], q[0])]),
        f"Q_V {v[0]} → {v[1]}, Q_L {q[0]} → {q[1]}",
    )


def bimodal_at_balance(tables: Tables) -> Verdict:
    """Q_B is greater at λ* than at both ends of the grid."""
    if tables.lam is None:
        return CANNOT_TELL, "no λ balances the two"
    rows = [min(tables.balance, key=lambda row: abs(float(row["lam"]) - (tables.lam or 0.0)))]
    rows += [tables.balance[0], tables.balance[-1]]
    best, low, high = (tables.figure(row, "bimodal_modularity") for row in rows)
    assert best and low and high
    told = f"{best} at λ* = {tables.lam:.3g}, {low} and {high} at the ends"
    return together([compared(best, low), compared(best, high)]), told


def variance_falls(tables: Tables) -> Verdict:
    """More pairs a network: smaller variance over networks."""
    sizes = sorted({int(row["pairs"]) for row in tables.sizes})
    if len(sizes) < 2 or tables.networks < 2:
        return UNKNOWN
    falls = []
    for name in ("vision_modularity", "language_modularity", "bimodal_modularity"):
        first, last = (
            [float(row[f"{name}_std"]) for row in tables.sizes if int(row["pairs"]) == size]
            for size in (sizes[0], sizes[-1])
        )
        falls += [after < before for before, after in zip(first, last, strict=True)]
    share = sum(falls) / len(falls)
    verdict = AGREES if share >= 0.8 else DIFFERS if share <= 0.2 else CANNOT_TELL
    return verdict, f"smaller at M = {sizes[-1]} than at {sizes[0]} in {sum(falls)} of {len(falls)} layers and measures"


def ranking_stays(tables: Tables) -> Verdict:
    """More pairs a network: the same order of layers by Q_B (rank correlation of the smallest with the greatest M)."""
    sizes = sorted({int(row["pairs"]) for row in tables.sizes})
    if len(sizes) < 2:
        return UNKNOWN
    from scipy import stats

    first, last = (
        [float(row["bimodal_modularity_mean"]) for row in tables.sizes if int(row["pairs"]) == size]
        for size in (sizes[0], sizes[-1])
    )
    found = float(stats.spearmanr(first, last).statistic)
    verdict = AGREES if found >= 0.8 else DIFFERS if found < 0.5 else CANNOT_TELL
    return verdict, f"Spearman {found:.2f} between M = {sizes[0]} and {sizes[-1]}, layers and poolings"


def share(tables: Tables, kind: str, suite: str) -> Figure | None:
    """A suite with one kind of keys; its 95 % interval taken as four standard errors."""
    for row in tables.keys:
        if str(row["keys"]).startswith(kind) and row["suite"] == suite and row["mean"] not in (None, ""):
            return Figure(float(row["mean"]), (float(row["high"]) - float(row["low"])) / 4)
    return None


def key_claim(*parts: tuple[tuple[str, str], tuple[str, str]]) -> Callable[[Tables], Verdict]:
    """In each part, the first (kind of keys, suite) does better than the second."""

    def put(tables: Tables) -> Verdict:
        verdicts, told = [], []
        for one, other in parts:
            a, b = share(tables, *one), share(tables, *other)
            if a is None or b is None:
                return UNKNOWN
            verdicts.append(compared(a, b))
            told.append(f"{one[0]} {one[1]} {a.mean:.2f}, {other[0]} {other[1]} {b.mean:.2f}")
        return together(verdicts), "; ".join(told)

    return put


VISION, LANGUAGE = "best vision", "best language"
CLAIMS: tuple[tuple[str, str, Callable[[Tables], Verdict]], ...] = (
    ("Bimodal modularity peaks in the later vision blocks (mean pooling)", "layers", late_vision_peaks),
    ("… and there is higher than in any merger or language layer", "layers", vision_peaks_over_all),
    ("The best mean-pooled layer beats the best last-token layer", "layers", mean_beats_last),
    ("Vision blocks are vision-biased (last token)", "layers", above_zero("vision_bias", "last", "vision")),
    ("Language layers are language-biased (last token)", "layers", above_zero("language_bias", "last", "language")),
    ("All layers are vision-biased with mean pooling", "layers", above_zero("vision_bias", "mean", None)),
    ("Over λ, vision modularity is traded for language modularity", "balance", trade_off),
    ("Bimodal modularity is higher around λ* than at either end", "balance", bimodal_at_balance),
    ("Larger networks, smaller variance", "sizes", variance_falls),
    ("Larger networks, the same order of layers", "sizes", ranking_stays),
    (
        "Dual keys have the best T-Gen and I-Gen",
        "keys",
        key_claim(*((("dual", suite), (other, suite)) for suite in ("T-Gen", "I-Gen") for other in (VISION, LANGUAGE))),
    ),
    (
        "A vision layer's keys: good T-Gen, poor I-Gen",
        "keys",
        key_claim(((VISION, "T-Gen"), (VISION, "I-Gen"))),
    ),
    (
        "A language layer's keys: better I-Gen than a vision layer's, low T-Gen",
        "keys",
        key_claim(((LANGUAGE, "I-Gen"), (VISION, "I-Gen")), ((LANGUAGE, "I-Gen"), (LANGUAGE, "T-Gen"))),
    ),
)
"""What is claimed, the figure that shows it, and how it is put to the tables."""
