"""Verdicts on tables whose answer is known."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.topology_claims import CLAIMS, Figure, Tables, compared, share, together

LAYERS = [("vision", 0), ("vision", 1), ("vision", 2), ("vision", 3), ("merger", 0), ("language", 0), ("language", 1)]
LIKE_THE_PAPER = {
    ("mean", "vision"): {"bimodal_modularity": 0.1, "vision_bias": 0.3, "language_bias": -0.3},
    ("mean", "merger"): {"bimodal_modularity": 0.05, "vision_bias": 0.3, "language_bias": -0.3},
    ("mean", "language"): {"bimodal_modularity": 0.02, "vision_bias": 0.2, "language_bias": -0.3},
    ("last", "vision"): {"bimodal_modularity": 0.01, "vision_bias": 0.9, "language_bias": -0.5},
    ("last", "merger"): {"bimodal_modularity": 0.01, "vision_bias": 0.5, "language_bias": -0.5},
    ("last", "language"): {"bimodal_modularity": 0.03, "vision_bias": -0.5, "language_bias": 0.4},
}


def tables(sign: float = 1.0, spread: float = 0.01, keys: bool = True) -> Tables:
    """As the paper has it, or with every difference turned round."""
    layers: list[dict[str, Any]] = []
    for block, index in LAYERS:
        for pooling in ("mean", "last"):
            row: dict[str, Any] = {"block": block, "index": str(index), "pooling": pooling}
            for name, value in LIKE_THE_PAPER[pooling, block].items():
                later = 0.01 * index if block == "vision" else 0.0
                row |= {f"{name}_mean": str(sign * (value + later)), f"{name}_std": str(spread)}
            layers.append(row | {"vision_modularity_std": "0.1", "language_modularity_std": "0.1"})
    balance = [
        {"lam": lam, **{f"{name}_modularity_mean": str(sign * value) for name, value in values.items()}}
        | {f"{name}_modularity_std": str(spread) for name in ("vision", "language", "bimodal")}
        for lam, values in (
            ("0.1", {"vision": 0.5, "language": -0.1, "bimodal": 0.1}),
            ("1.0", {"vision": 0.3, "language": 0.3, "bimodal": 0.3}),
            ("10.0", {"vision": -0.1, "language": 0.5, "bimodal": 0.2}),
        )
    ]
    sizes = [
        {**row, "pairs": size, **{name: str(float(row[name]) / int(size)) for name in row if name.endswith("_std")}}
        for size in ("5", "20")
        for row in layers
    ]
    means = {"dual": (0.9, 0.9), "best vision layer: 3": (0.7, 0.3), "best language layer: 1": (0.4, 0.8)}
    made = [
        {"keys": name, "suite": suite, "mean": str(0.5 + sign * (value - 0.5)), "low": "0.48", "high": "0.52"}
        for name, values in means.items()
        for suite, value in zip(("T-Gen", "I-Gen"), values, strict=True)
    ]
    return Tables(10, layers, balance, 1.0, sizes, made if keys else ())


def verdicts(found: Tables) -> dict[str, str]:
    return {claim: put(found)[0] for claim, _, put in CLAIMS}


def test_tables_like_the_papers_agree() -> None:
    assert set(verdicts(tables()).values()) == {"agrees"}


def test_tables_turned_round_differ() -> None:
    found = verdicts(tables(-1.0))
    kept = [claim for claim, verdict in found.items() if verdict != "differs"]
    assert kept == ["Larger networks, smaller variance", "Larger networks, the same order of layers"]


def test_what_is_noisy_or_missing_cannot_be_told() -> None:
    noisy = verdicts(tables(spread=9.0))
    assert {noisy[claim] for claim, figure, _ in CLAIMS if figure in ("layers", "balance")} == {"cannot tell"}
    missing = tables(keys=False)
    missing = Tables(missing.networks, missing.layers, missing.balance, None)
    told = {claim: put(missing) for claim, _, put in CLAIMS}
    assert told["Dual keys have the best T-Gen and I-Gen"] == ("cannot tell", "not measured")
    assert told["Larger networks, smaller variance"] == ("cannot tell", "not measured")
    assert told["Bimodal modularity is higher around λ* than at either end"] == ("cannot tell", "no λ balances the two")


def test_one_vision_block_has_no_later_half() -> None:
    made = tables()
    kept = [row for row in made.layers if (row["block"], row["index"]) not in LAYERS_TO_DROP]
    assert CLAIMS[0][2](Tables(10, kept, made.balance, 1.0)) == ("cannot tell", "there is one vision block")


LAYERS_TO_DROP = {("vision", "1"), ("vision", "2"), ("vision", "3")}


def test_language_bias_that_was_not_measured_is_no_verdict() -> None:
    made = tables()
    rows = [{**row, "language_bias_mean": "", "language_bias_std": ""} for row in made.layers]
    assert CLAIMS[4][2](Tables(10, rows, made.balance, 1.0)) == ("cannot tell", "not measured")


def test_a_peak_just_before_the_middle_is_not_late() -> None:
    rows = [
        {"block": "vision", "index": str(at), "pooling": "mean", "bimodal_modularity_mean": value}
        | {"bimodal_modularity_std": "0.01"}
        for at, value in enumerate(("0.1", "0.9", "0.2", "0.1"))
    ]
    verdict, told = CLAIMS[0][2](Tables(10, rows, (), None))
    assert verdict == "differs" and told.startswith("best later block vision 2: 0.2000 ± 0.0032, best earlier vision 1")


def test_a_suites_error_is_a_quarter_of_its_interval() -> None:
    assert share(tables(), "dual", "T-Gen") == Figure(0.9, pytest.approx(0.01))
    assert share(tables(), "dual", "Loc") is None


def test_one_network_is_no_evidence() -> None:
    made = tables()
    found = verdicts(Tables(1, made.layers, made.balance, 1.0, made.sizes))
    assert {found[claim] for claim, figure, _ in CLAIMS if figure in ("layers", "balance")} == {"cannot tell"}
    assert found["Larger networks, smaller variance"] == "cannot tell"


@pytest.mark.parametrize(
    ("apart", "error", "verdict"), [(0.3, 0.1, "agrees"), (-0.3, 0.1, "differs"), (0.1, 0.1, "cannot tell")]
)
def test_two_standard_errors_decide(apart: float, error: float, verdict: str) -> None:
    assert compared(Figure(1.0 + apart, error), Figure(1.0)) == verdict


def test_one_part_that_differs_decides() -> None:
    assert together(["agrees", "differs", "cannot tell"]) == "differs"
    assert together(["agrees", "cannot tell"]) == together([]) == "cannot tell"
