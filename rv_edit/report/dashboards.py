"""W&B dashboards as code: what they hold is plain data here; the library that makes them is needed only to make them.

``python -m rv_edit.report.dashboards --dry-run`` prints what would be made. Without ``--dry-run`` it makes a workspace
and a report in a project (``pip install "rv-edit[dashboards]"`` and ``wandb login`` first).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rv_edit.errors import ConfigError
from rv_edit.report.table import NAMES

Kind = Literal["line", "bar", "scatter", "table"]
PROJECT = "rv_edit"
"""As in ``conf/logger/wandb.yaml``."""


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        kind: ``line`` and ``bar`` over runs, ``scatter`` a point a run, ``table`` a table that runs logged.
        title: above it.
        y: names of logged figures, or of the table.
        x: a logged figure (line) or an option of the run (scatter).
        log: whether the y axis is logarithmic.
    """

    kind: Kind
    title: str
    y: tuple[str, ...]
    x: str = ""
    log: bool = False


@dataclass(frozen=True)
class Section:
    """Panels that belong together, and which figure of the paper they are."""

    name: str
    panels: tuple[Panel, ...]


def sections() -> tuple[Section, ...]:
    """All panels, section by section."""
    suites = list(NAMES.items())
    lines = tuple(Panel("line", label, (f"sequential/{suite}",), EDITS) for suite, label in suites)
    ends = tuple(Panel("bar", label, (f"test/{suite}",)) for suite, label in suites)
    accepted = tuple(Panel("bar", f"accepted, {label}", (f"accept_rate/{suite}",)) for suite, label in suites[:2])
    return (
        Section(
            "Sequential editing (paper 4.4, Fig. 4)",
            (
                *lines,
                Panel("line", "accept rate, Acc", ("sequential/accept/acc",), EDITS),
                Panel("line", "seconds an edit", ("sequential/seconds_per_edit",), EDITS, log=True),
            ),
        ),
        Section("Every edit", tuple(Panel("line", *_own(name), "trainer/global_step") for name in EVERY_EDIT)),
        Section("After all edits (paper Table 1)", (*ends, *accepted)),
        Section(
            "Cost of an edit (paper Fig. 4, Fig. 12)",
            tuple(Panel("bar", *_own(name)) for name in ("seconds_per_edit", "kb_per_edit", "keys_per_edit")),
        ),
        *(Section(title, _against(option, figures)) for title, option, figures in ABLATIONS),
        Section("Edits", (Panel("table", "edits: picture, question, before, after, facts", ("edits",)),)),
    )


EDITS = "sequential/edits"
EVERY_EDIT = ("edit_seconds", "keys", "kb")
GENERALITY = ("test/acc", "test/loc", "test/t_gen", "test/i_gen", "test/r_gen", "test/coe_gen")
ABLATIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Layer of the keys (paper Fig. 5a)", "model.key_space.layer", ("test/t_gen", "test/i_gen")),
    ("Nearest keys, K (paper Fig. 5b)", "editor.codebook.k", GENERALITY),
    ("Rejection (paper Fig. 5c)", "editor.codebook.percentile", GENERALITY),
    ("Merging (paper Fig. 11)", "editor.codebook.merge", ("kb_per_edit", "keys_per_edit", "test/mean")),
    ("Weight of the words, λ (paper Fig. 6c)", "editor.lam", GENERALITY),
    ("What a fact is keyed by", "editor.reasoning_keys", ("kb_per_edit", *GENERALITY)),
    ("Pairs a network, M (paper Fig. 13)", "task.pairs", ("topology/bimodal_modularity_std", "topology/lam")),
    ("Learning rates", "editor.training.lr", ("test/mean", *GENERALITY)),
)
"""Title, the option that a sweep of ``conf/sweep`` varies, and the figures against it."""


def _own(name: str) -> tuple[str, tuple[str, ...]]:
    return name.replace("_", " "), (name,)


def _against(option: str, figures: Sequence[str]) -> tuple[Panel, ...]:
    return tuple(Panel("scatter", f"{figure} by {option.rpartition('.')[2]}", (figure,), option) for figure in figures)


def describe(entity: str, project: str) -> str:
    """What would be made, a line a panel."""
    where = f"{entity or '<your default entity>'}/{project}"
    lines = [f"workspace and report 'rv_edit' in {where}"]
    for section in sections():
        lines.append(f"  {section.name}")
        for panel in section.panels:
            against = f" against {panel.x}" if panel.x else ""
            lines.append(f"    {panel.kind:7} {panel.title}: {', '.join(panel.y)}{against}")
    return "\n".join(lines)


def workspace(entity: str, project: str) -> Any:
    """The workspace, not yet saved; nothing is asked of a server."""
    import wandb_workspaces.workspaces as ws

    made = [
        ws.Section(name=item.name, panels=_panels(item), is_open=place < 3) for place, item in enumerate(sections())
    ]
    return ws.Workspace(entity=entity, project=project, name="rv_edit", sections=made)


def report(entity: str, project: str) -> Any:
    """The report, not yet saved: the sections as headings with their panels over all runs of the project."""
    import wandb_workspaces.reports.v2 as wr

    blocks: list[Any] = []
    for section in sections():
        blocks.append(wr.H2(text=section.name))
        blocks.append(
            wr.PanelGrid(
                panels=[_placed(panel, place) for place, panel in enumerate(_panels(section))],
                runsets=[wr.Runset(entity=entity, project=project)],
            )
        )
    return wr.Report(entity=entity, project=project, title="rv_edit", blocks=blocks, width="fluid")


def _placed(panel: Any, place: int) -> Any:
    import wandb_workspaces.reports.v2 as wr

    panel.layout = wr.Layout(x=8 * (place % 3), y=6 * (place // 3), w=8, h=6)
    return panel


def _panels(section: Section) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    made: list[Any] = []
    for panel in section.panels:
        if panel.kind == "line":
            made.append(wr.LinePlot(title=panel.title, x=panel.x, y=list(panel.y), log_y=panel.log))
        elif panel.kind == "bar":
            made.append(wr.BarPlot(title=panel.title, metrics=list(panel.y)))
        elif panel.kind == "scatter":
            made.append(wr.ScatterPlot(title=panel.title, x=wr.Config(panel.x), y=wr.SummaryMetric(panel.y[0])))
        else:
            made.append(wr.WeavePanelSummaryTable(table_name=panel.y[0]))
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line.

    Raises:
        ConfigError: the library or a key is missing.
    """
    parser = argparse.ArgumentParser(prog="python -m rv_edit.report.dashboards", description="W&B dashboards as code.")
    parser.add_argument("--entity", default="", help="user or team; yours by default")
    parser.add_argument("--project", default=PROJECT, help=f"{PROJECT} by default")
    parser.add_argument("--dry-run", action="store_true", help="print what would be made, and make nothing")
    parser.add_argument("--json", action="store_true", help="with --dry-run: as JSON, panel by panel")
    given = parser.parse_args(arguments)
    if given.dry_run:
        sys.stdout.write((_json() if given.json else describe(given.entity, given.project)) + "\n")
        return
    entity = _entity(given.entity)
    for board in (workspace(entity, given.project), report(entity, given.project)):
        saved = board.save()
        sys.stdout.write(f"{(saved or board).url}\n")


def _json() -> str:
    rows = [
        {"section": section.name, **vars(panel), "y": list(panel.y)}
        for section in sections()
        for panel in section.panels
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False)


def _entity(given: str) -> str:
    """The entity to make boards for, once it is sure that they can be made.

    Raises:
        ConfigError: one line: what is missing.
    """
    from importlib.util import find_spec

    from rv_edit.loggers import has_key

    if find_spec("wandb_workspaces") is None:
        raise ConfigError('dashboards need wandb-workspaces: pip install "rv-edit[dashboards]"; --dry-run does without')
    if not has_key():
        raise ConfigError("dashboards are made on a W&B server: wandb login first; --dry-run does without")
    if given:
        return given
    import wandb

    return str(wandb.Api().default_entity)


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
