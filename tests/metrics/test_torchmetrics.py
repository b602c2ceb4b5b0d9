import math
import warnings
from collections import defaultdict

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection

from data_modules.records import SUITES
from rv_edit.metrics import AcceptRate, EditMetrics, SuiteAccuracy, accept_rates, estimate, summary
from tests.helpers_ddp import run_ddp
from tests.metrics.metric_checks import as_numbers, check_metric, shard

RESAMPLES = 200


def make_edit_metrics():
    return EditMetrics(resamples=RESAMPLES)


def made_batches(sizes, seed=0):
    rng, batches = np.random.default_rng(seed), []
    for size in sizes:
        suites = [SUITES[i] for i in rng.integers(0, len(SUITES) - 1, size)]  # the last suite stays empty
        edits = [None if suite == "loc" else f"edit {rng.integers(6)}" for suite in suites]
        gates = [[True, False, None][i] for i in rng.integers(0, 3, size)]
        batches.append((suites, edits, (rng.random(size) < 0.7).tolist(), gates))
    return batches


def by_hand(batches):
    """Every number of EditMetrics by grouping questions in dictionaries."""
    marks, gates, expected = defaultdict(list), defaultdict(list), {}
    for batch in batches:
        for suite, edit, correct, accepted in zip(*batch, strict=True):
            marks[suite].append((edit, correct))
            if accepted is not None:
                gates[suite].append(accepted)
    for suite in SUITES:
        right = [correct for _, correct in marks[suite]]
        expected[suite] = sum(right) / len(right) if right else math.nan
        expected[f"{suite}/n"] = len(right)
        expected[f"{suite}/accept"] = sum(gates[suite]) / len(gates[suite]) if gates[suite] else math.nan
        if suite == "loc":
            found = estimate(right)
        else:
            from rv_edit.metrics.suites import edit_number

            found = estimate(right, [edit_number(edit) for edit, _ in marks[suite]], resamples=RESAMPLES)
        expected[f"{suite}/low"], expected[f"{suite}/high"] = found.low, found.high
    return expected


def mean(batches):
    marks = [mark for batch in batches for mark in batch[0]]
    return {"": sum(marks) / len(marks)}


def accepted_share(batches):
    marks = [mark for batch in batches for mark in batch[0] if mark is not None]
    return {"": sum(marks) / len(marks) if marks else math.nan}


PLAIN = [([True, False, True],), ([False],), ([True, True],), ([False, False, True, True],), ([True],)]
GATED = [([True, None, False],), ([False],), ([None],), ([True, True],), ([None, True],)]
SUITED = made_batches([7, 1, 12, 30, 3])
CASES = [
    pytest.param(SuiteAccuracy, PLAIN, mean, id="accuracy"),
    pytest.param(AcceptRate, GATED, accepted_share, id="accept"),
    pytest.param(make_edit_metrics, SUITED, by_hand, id="suites"),
]


@pytest.mark.parametrize(("make", "batches", "reference"), CASES)
def test_each_metric_is_its_reference_and_behaves_as_a_torchmetric(make, batches, reference):
    check_metric(make, batches, reference)


def all_shards(rank, world_size):
    """All cases on one pair of processes: five uneven batches, then one batch, so that rank 1 has nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a rank without questions is told so
        return [shard(rank, world_size, case.values[0], case.values[1][:count]) for case in CASES for count in (5, 1)]


@pytest.mark.DDP
def test_two_ranks_with_uneven_shards_are_one_process():
    expected = [case.values[2](case.values[1][:count]) for case in CASES for count in (5, 1)]
    for found in run_ddp(all_shards, 2):
        for one, other in zip(found, expected, strict=True):
            assert one == pytest.approx(other, nan_ok=True, abs=1e-6)


def test_suites_diverge_after_an_equal_first_batch():
    metric = make_edit_metrics()
    metric.update(["acc", "loc"], ["e", None], [True, True])
    metric.update(["acc", "loc"], ["e", None], [True, False])
    found = as_numbers(metric.compute())
    assert (found["acc"], found["loc"]) == (1.0, 0.5)
    grouped = MetricCollection({"acc": SuiteAccuracy(), "loc": SuiteAccuracy()}, compute_groups=False)
    for mark in (True, False):
        grouped["acc"].update([True])
        grouped["loc"].update([mark])
    assert as_numbers(grouped.compute()) == {"acc": 1.0, "loc": 0.5}


def test_results_are_json_without_nan_and_exact():
    metric = make_edit_metrics()
    metric.update(["acc"] * 3, ["a", "b", "c"], [True, True, False], [True, None, False])
    computed = metric.compute()
    found = summary(computed)
    assert found["acc"] == {"mean": 2 / 3, "ci95": found["acc"]["ci95"], "n": 3}
    assert list(found) == list(SUITES)
    assert found["loc"] == {"mean": None, "ci95": [None, None], "n": 0}
    assert accept_rates(computed) == {**dict.fromkeys(SUITES), "acc": 0.5}


def test_updates_that_do_not_fit_are_refused_in_one_line():
    metric = EditMetrics()
    with pytest.raises(ValueError, match="unknown suite 'accuracy'; known are acc, loc"):
        metric.update(["accuracy"], ["e"], [True])
    with pytest.raises(ValueError, match="2 suites, 1 edits, 2 answers and 2 accept marks"):
        metric.update(["acc", "acc"], ["e"], [True, True])
    assert metric.total.sum() == 0


def test_updates_of_nothing_and_tensors_are_taken():
    metric = EditMetrics()
    metric.update([], [], [])
    metric.update(["acc"], ["e"], torch.tensor([1]))
    assert metric.compute()["acc"] == 1


def test_an_edit_counts_once_however_its_questions_are_batched():
    together, apart = make_edit_metrics(), make_edit_metrics()
    questions = [("t_gen", f"e{i % 5}", i % 3 > 0) for i in range(40)]
    together.update(*zip(*questions, strict=True))
    for suite, edit, correct in reversed(questions):
        apart.update([suite], [edit], [correct])
    assert as_numbers(together.compute()) == pytest.approx(as_numbers(apart.compute()), nan_ok=True, abs=0)


def test_means_can_be_plotted():
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs matplotlib")
    metric = EditMetrics()
    metric.update(["acc", "loc"], ["e", None], [True, False])
    figure, axes = metric.plot()
    assert len(axes.get_legend_handles_labels()[1]) == 2
    pyplot.close(figure)
