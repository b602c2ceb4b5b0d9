"""Metrics (paper 4.1): a functional core and the torchmetrics over it. They see suite, edit and right or wrong only."""

from rv_edit.metrics.accuracy import AcceptRate, SuiteAccuracy
from rv_edit.metrics.functional import Estimate, cluster_bootstrap, estimate, wilson
from rv_edit.metrics.suites import EditMetrics, accept_rates, summary

__all__ = [
    "AcceptRate",
    "EditMetrics",
    "Estimate",
    "SuiteAccuracy",
    "accept_rates",
    "cluster_bootstrap",
    "estimate",
    "summary",
    "wilson",
]
