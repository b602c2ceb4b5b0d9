"""A run's figures, edits and codebook on a W&B board. Offline and disabled runs take the same calls."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from rv_edit.report.result import RunResult
from rv_edit.report.views import clean

log = logging.getLogger(__name__)

COLUMNS = ("edit", "image", "question", "right answer", "before", "after", "right", "facts", "distances", "accepted")
"""Of the table of edits."""
PAPER = ("acc", "loc", "t_gen", "i_gen", "r_gen", "coe_gen")
"""The metrics of the paper (4.1)."""


def log_run(logger: Any, result: RunResult, codebook: Path | None = None, pictures: int = 50) -> bool:
    """Log a finished run: summary metrics, a table of the edits, the codebook as an artifact.

    Nothing that goes wrong on the board's side stops the run: it costs one line.

    Args:
        logger: a Lightning logger, a list of them or ``None``; any but W&B's are left alone.
        result: the run.
        codebook: the folder of the saved codebook, where there is one.
        pictures: edits, of those asked about, whose picture goes into the table.

    Returns:
        Whether anything was logged: ``False`` on other ranks, and without a W&B logger.
    """
    run = _run_of(logger)
    if run is None:
        return False
    try:
        run.summary.update(summary(result))
        run.log({"edits": edits_table(result, pictures)})
        if codebook is not None and any(codebook.iterdir()):
            run.log_artifact(_artifact(result, codebook, str(getattr(run, "id", "run"))))
    except Exception as error:  # noqa: BLE001  a board must never cost a run its results
        log.warning("W&B: the run could not be logged (%s); the output folder has everything", _first_line(error))
        return False
    return True


def summary(result: RunResult) -> dict[str, float]:
    """The figures under the names that boards and sweeps use: ``test/acc``, ``before/acc``, ``accept_rate/acc``.

    ``test/mean`` is the mean of the paper's metrics as far as they were asked: one figure for a sweep to go by.
    """
    figures: dict[str, float | None] = {}
    for prefix, when in (("before", "before"), ("test", "after")):
        for suite, measured in result.metrics[when].items():
            figures[f"{prefix}/{suite}"] = measured["mean"]
    means = [result.metrics["after"][suite]["mean"] for suite in PAPER]
    asked = [mean for mean in means if mean is not None]
    figures["test/mean"] = sum(asked) / len(asked) if asked else None
    figures |= {f"accept_rate/{suite}": rate for suite, rate in result.accept_rate.items()}
    figures |= {
        "seconds_per_edit": result.seconds_per_edit,
        "kb_per_edit": result.kb_per_edit,
        "keys_per_edit": result.keys_per_edit,
        "edits_made": float(result.edits_made),
    }
    return {name: value for name, value in figures.items() if value is not None}


def edits_table(result: RunResult, pictures: int) -> Any:
    """A ``wandb.Table`` of the edits, one a row in the order in which they were made, under :data:`COLUMNS`."""
    import wandb

    table = wandb.Table(columns=list(COLUMNS))
    shown = 0
    for edit in result.edits:
        own = next((row for row in result.rows_of(edit.id) if row.question.suite == "acc"), None)
        image = None
        if own is not None and shown < pictures:  # sequential editing asks about some edits only
            image, shown = wandb.Image(edit.image.open()), shown + 1
        before = None if own is None or own.before is None else edit.choices[own.before.prediction]
        table.add_data(
            clean(edit.id),
            image,
            clean(edit.question),
            clean(edit.answer),
            None if before is None else clean(before),
            None if own is None else clean(edit.choices[own.after.prediction]),
            None if own is None else own.right,
            "" if own is None else clean(" ".join(own.after.facts)),
            "" if own is None else " ".join(f"{distance:.4f}" for distance in own.after.distances),
            None if own is None else own.after.accepted,
        )
    return table


def _artifact(result: RunResult, codebook: Path, run_id: str) -> Any:
    import wandb

    facts = {name: value for name, value in result.codebook.items() if isinstance(value, str | int | float | bool)}
    artifact = wandb.Artifact(f"codebook-{run_id}", type="codebook", metadata={"edits": result.edits_made, **facts})
    artifact.add_dir(str(codebook))
    return artifact


def _run_of(logger: Any) -> Any:
    """The W&B run behind a logger, on rank 0; ``None`` elsewhere."""
    from lightning.pytorch.loggers import WandbLogger
    from lightning.pytorch.utilities import rank_zero_only

    if getattr(rank_zero_only, "rank", 0) != 0:
        return None
    loggers = logger if isinstance(logger, list | tuple) else [logger]
    found = next((one for one in loggers if isinstance(one, WandbLogger)), None)
    return None if found is None else found.experiment


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
