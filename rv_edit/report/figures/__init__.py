"""Figures of the topology task, of tables of editors and of sequential editing, and how they reach a file.

Each takes the rows of a CSV that is written beside it, as plain values, so that a figure can be drawn again from its
table alone.
"""

from rv_edit.report.figures.balance import balance_figure
from rv_edit.report.figures.canvas import Row, save_figure
from rv_edit.report.figures.cost import cost_figure
from rv_edit.report.figures.criterion import criterion_figure
from rv_edit.report.figures.keys import keys_figure
from rv_edit.report.figures.layers import layers_figure
from rv_edit.report.figures.networks import Panel, network_figure, network_rows, positions
from rv_edit.report.figures.radar import radar_figure
from rv_edit.report.figures.sequential import ablation_figure, sequential_figure, times_figure
from rv_edit.report.figures.sizes import sizes_figure

__all__ = [
    "Panel",
    "Row",
    "ablation_figure",
    "balance_figure",
    "cost_figure",
    "criterion_figure",
    "keys_figure",
    "layers_figure",
    "network_figure",
    "network_rows",
    "positions",
    "radar_figure",
    "save_figure",
    "sequential_figure",
    "sizes_figure",
    "times_figure",
]
