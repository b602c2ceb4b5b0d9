"""``task=edit``: a model's errors are corrected one by one; everything is asked before and after."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from data_modules.built_suites import provider_for
from data_modules.records import Edit, Question
from rv_edit.editors.answering import Asking, is_right
from rv_edit.editors.base import Editor, EditorContext
from rv_edit.editors.module import Asked, EditorModule, SingleEditModule
from rv_edit.editors.sequential import SequentialModule
from rv_edit.editors.strategy import leave
from rv_edit.editors.unedited import Unedited
from rv_edit.errors import ConfigError
from rv_edit.tasks.checks import EditOptions, check_options, made_anew
from rv_edit.tasks.clock import Clock
from rv_edit.tasks.interrupting import interruptible
from rv_edit.tasks.mining import further_devices, mining_helpers
from rv_edit.tasks.preparing import Plan, Scoring, prepare, sample_pictures
from rv_edit.tasks.saving import saved_receipts, saved_together

if TYPE_CHECKING:
    from lightning import Trainer

    from data_modules.bundle import DataBundle
    from rv_edit.report import RunResult
    from rv_edit.vlm import VLM

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> RunResult | None:
    """Run the task; the files go to ``cfg.output``.

    Returns:
        What the files were made from; ``None`` on other ranks than the first.

    Raises:
        ConfigError, RecordError: an option or the data set cannot be used.
    """
    options = check_options(cfg)
    asking = _asking(cfg)
    from lightning import seed_everything

    from rv_edit.tasks.training import build_trainer

    clock = Clock()
    trainer = build_trainer(cfg, options.output)
    seed_everything(options.seed, workers=True, verbose=False)
    with clock("loading"):
        data: DataBundle = instantiate(cfg.dataset.source, _convert_="all")
        data = replace(data, provider=provider_for(cfg.dataset.get("suites"), data.provider))
        lines = [f"{data.name}: {len(data.records)} records"] if data.report is None else data.report.lines()
        for line in lines:
            log.info("%s", line)
        vlm: VLM = instantiate(cfg.model.vlm, device=_device(trainer), _convert_="all")
        editor = _editor(cfg, data, vlm, asking, options)
    logger = instantiate(cfg.logger, _convert_="all")
    with clock("mining and suites"):
        scoring = Scoring.of(cfg, options)
        with mining_helpers(cfg, vlm, data.records, scoring, further_devices(trainer)):
            plan = prepare(data, vlm, editor, options, scoring)
        editor.calibrate(plan.unrelated[: options.calibration])
    if logger is not None:
        trainer.logger = logger
        logger.log_hyperparams(OmegaConf.to_container(cfg, resolve=True))
    with interruptible(trainer, options.output):
        before, module = _edit_and_ask(trainer, editor, plan, options, asking, clock)
    return _report(cfg, options, trainer, editor, plan, before, module, clock)


def _asking(cfg: DictConfig) -> Asking:
    settings = OmegaConf.to_container(cfg.scoring, resolve=True)
    assert isinstance(settings, dict)
    known = [option.name for option in fields(Asking)]
    unknown = sorted(set(map(str, settings)) - set(known))
    if unknown:
        raise ConfigError(f"scoring.{unknown[0]}: unknown option; there are {', '.join(known)}")
    return Asking(**{str(name): value for name, value in settings.items()})


def _device(trainer: Trainer) -> str:
    """The device of this rank, which Lightning knows before it has started the others."""
    device: Any = trainer.strategy.root_device
    return str(device)


def _editor(cfg: DictConfig, data: DataBundle, vlm: VLM, asking: Asking, options: EditOptions) -> Editor:
    context = EditorContext(
        vlm=vlm,
        asking=asking,
        sample=sample_pictures(data.records, options.sample, options.seed),
        seed=options.seed,
        codebook=options.codebook,
        cache=cfg.cache,
    )
    settings = OmegaConf.to_container(cfg.editor, resolve=True)  # here, where what it refers to is in reach
    assert isinstance(settings, dict)
    settings.pop("name", None)
    editor: Editor = instantiate(settings, context, _convert_="all")
    if options.codebook is not None:
        _load(editor, options.codebook)
        log.info("codebook: %d edits, %d keys", len(editor.edit_ids), editor.num_keys)
    if options.protocol == "single" and editor.capabilities.edits and not editor.capabilities.undo:
        raise ConfigError(f"protocol=single undoes every edit, but editor={cfg.editor.name} cannot undo")
    return editor


def _load(editor: Editor, codebook: Path) -> None:
    try:
        editor.load(codebook)
    except ConfigError as error:
        # what is damaged says so, and what to restore; another key space or other rules are no damage
        damaged = any(word in str(error) for word in ("restore", "damaged"))
        raise ConfigError(f"{error}{made_anew(codebook) if damaged else ''}") from error


def _edit_and_ask(
    trainer: Trainer, editor: Editor, plan: Plan, options: EditOptions, asking: Asking, clock: Clock
) -> tuple[list[Asked], EditorModule]:
    """Ask the unedited model, edit, ask the edited one."""
    from data_modules.stream import EditStreamDataModule

    stream = plan.stream if editor.capabilities.edits else ()
    step = 2 * asking.batch_size
    feed = EditStreamDataModule(stream, dict(plan.questions), batch_size=step, seed=options.seed)
    unedited = EditorModule(Unedited(editor.vlm, asking), prefix="before")
    with clock("asking before"):
        trainer.test(unedited, datamodule=feed, verbose=False)
    _check_unedited(unedited.asked, plan)
    single = options.protocol == "single" and bool(stream)
    module = _module(editor, plan, stream, options, step)
    if stream:
        checkpoint = None if options.resume is None else str(options.resume)
        with clock("editing", watched=True):
            trainer.fit(module, datamodule=feed, ckpt_path=checkpoint)
    if not editor.capabilities.edits:  # asking the same model again gives the same answers
        module.asked = list(unedited.asked)
    elif not single:
        with clock("asking after"):
            trainer.test(module, datamodule=feed, verbose=False)
    return unedited.asked, module


def _module(editor: Editor, plan: Plan, stream: Sequence[Edit], options: EditOptions, step: int) -> EditorModule:
    """What edits and asks, by protocol."""
    if not stream:
        return EditorModule(editor)
    if options.protocol == "single":
        return SingleEditModule(editor, _deal(plan, stream), step)
    if options.probing is None:
        return EditorModule(editor)
    questions = [question for suite in plan.questions.values() for question in suite]
    return SequentialModule(editor, plan.edits, len(plan.previous), questions, options.probing, step)


def _deal(plan: Plan, stream: Sequence[Edit]) -> dict[str, list[Question]]:
    """``protocol=single``: each edit's own questions, and the Loc questions dealt out, each asked after one edit."""
    dealt: dict[str, list[Question]] = {edit.id: [] for edit in stream}
    shared: list[Question] = []
    for questions in plan.questions.values():
        for question in questions:
            if question.edit_id in dealt:
                dealt[str(question.edit_id)].append(question)
            elif question.edit_id is None:
                shared.append(question)
    for index, question in enumerate(shared):
        dealt[stream[index % len(stream)].id].append(question)
    return dealt


def _check_unedited(asked: Sequence[Asked], plan: Plan) -> None:
    """Acc 0.00 and Loc 1.00 by construction: a free check of everything between mining and here (method, Prediction).

    Raises:
        RuntimeError: a mined error is answered right, or a Loc question wrong: the two paths disagree.
    """
    wrong = [
        question
        for question, answer in asked
        if (question.suite == "loc" and not is_right(question, answer))
        or (question.suite == "acc" and question.edit_id in plan.mined and is_right(question, answer))
    ]
    if wrong:
        raise RuntimeError(
            f"the unedited model answers {len(wrong)} questions otherwise than when it was mined, e.g. "
            f"{wrong[0].suite} {wrong[0].id}: Acc is not 0.00 or Loc not 1.00; delete the cache, or report this"
        )


def _report(
    cfg: DictConfig,
    options: EditOptions,
    trainer: Trainer,
    editor: Editor,
    plan: Plan,
    before: Sequence[Asked],
    module: EditorModule,
    clock: Clock,
) -> RunResult | None:
    """Write the output folder and say what is in it; on the first rank alone."""
    leave()
    if not trainer.is_global_zero:
        return None
    from rv_edit.report import RunResult, Skipped, print_paths, print_table, write_run
    from rv_edit.report.curves import curve_rows, write_curves
    from rv_edit.report.wandb_log import log_run

    receipts = {receipt.edit_id: receipt for receipt in [*saved_receipts(options.codebook), *module.receipts]}
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    result = RunResult(
        config={str(name): value for name, value in config.items()},
        seed=options.seed,
        edits=plan.edits,
        receipts=[receipts[edit.id] for edit in plan.edits if edit.id in receipts],
        before=before,
        after=module.asked,
        codebook=_codebook_summary(editor) if options.protocol == "accumulate" else {},
        timings=clock.seconds,
        skipped=[Skipped(name, why) for name, why in (*plan.skipped, *module.refused)],
        error_counts={**plan.counts, **_not_made(module)},
        peak_memory_mb=clock.peak_mb,
        curve=[asdict(point) for point in getattr(module, "curve", ())],
    )
    kept = [receipts[name] for name in editor.edit_ids if name in receipts]
    place = options.output / "codebook" if options.protocol == "accumulate" else None
    with saved_together(editor, kept, place) as folder:
        paths = write_run(options.output, result)
    rows = curve_rows(str(cfg.editor.name), result.curve)
    curves = write_curves(options.output, rows, f"{cfg.model.name}, {cfg.dataset.name}") if rows else []
    log_run(trainer.logger, result, folder)
    print_table(result)
    print_paths([*paths.values(), *curves, *([] if folder is None else [folder])])
    return result


def _not_made(module: EditorModule) -> dict[str, int]:
    """Edits that the editor could not make.

    Their questions are asked all the same, of the model without them: an editor must not look better for failing.
    """
    diverged = len(module.diverged)
    counts = {"edits_diverged": diverged, "edits_refused": len(module.refused) - diverged}
    return {name: count for name, count in counts.items() if count}


def _codebook_summary(editor: Editor) -> dict[str, Any]:
    if editor.memory is None:
        return {}
    return {
        "edits": len(editor.edit_ids),  # with those of a codebook that is continued, on whatever data
        "keys": editor.num_keys,
        "nbytes": editor.nbytes,
        "checksum": editor.checksum(),
    }
