"""``task=build_suites``: suites around a model's errors, by language and image models (paper 4.1, appendix B)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from data_modules.built_suites import ABOUT, EDITS, ITEMS
from rv_edit.benchmark.building.assemble import dump_lines, edit_row, items_of, merged, summary
from rv_edit.benchmark.building.captions import Caption, caption_all, own_caption, read_captions
from rv_edit.benchmark.building.checking import VLMChecker, VLMHolder
from rv_edit.benchmark.building.estimate import estimate, measure
from rv_edit.benchmark.building.journal import Journal, read_rows
from rv_edit.benchmark.building.pictures import Drawn, Studio
from rv_edit.benchmark.building.plan import EditPlan, PictureJob, picture_jobs, text_jobs
from rv_edit.benchmark.building.store import PictureStore
from rv_edit.benchmark.building.texts import Written, write_texts
from rv_edit.errors import ConfigError
from rv_edit.report.files import write_together
from rv_edit.tasks.build_options import (
    OPTIONS,
    BuildOptions,
    build_checker,
    build_providers,
    check_folder,
    options_of_folder,
)
from rv_edit.tasks.checks import EditOptions, check_options
from rv_edit.tasks.preparing import Scoring, chains_of, mine_errors

if TYPE_CHECKING:
    from data_modules.bundle import DataBundle
    from data_modules.qa_record import QARecord
    from rv_edit.benchmark.building.requests import ImageProvider, TextProvider

log = logging.getLogger(__name__)
SAMPLE = 200
"""Records that a dry run counts on, before it scales to all edits."""


def run(cfg: DictConfig) -> dict[str, Any] | None:
    """Build the suites, or say what they would cost.

    Returns:
        What ``suites.json`` holds; ``None`` after a dry run or a part.

    Raises:
        ConfigError, RecordError, ProviderError, DiskError: something cannot be used or cannot go on; all that was
            made is kept, and the same command goes on.
    """
    edit_options, options = check_options(cfg), BuildOptions.of(cfg)
    log.info("suites go to %s (task.folder), not to hydra.run.dir", options.folder)
    texts, images = build_providers(cfg, options)
    known = read_captions(options.captions)
    data: DataBundle = instantiate(cfg.dataset.source, _convert_="all")
    for line in data.report.lines() if data.report is not None else [f"{data.name}: {len(data.records)} records"]:
        log.info("%s", line)
    for why in (texts.refuses(data.records[0]), *(model.refuses(data.records[0]) for model in images.values())):
        if why is not None:
            raise ConfigError(f"dataset={data.name}: {why}")
    if options.dry_run:
        _say_costs(data, options, edit_options.edits, texts, images, known)
        return None
    device = _device(cfg, edit_options.output)
    edited = VLMHolder(partial(instantiate, cfg.model.vlm, device=device, _convert_="all"))
    checker = build_checker(cfg, options, edited, device)
    about = options_of_folder(data.name, options, texts, images, checker)
    with Journal(options.folder / "journal", options.part, options.reserve) as journal:
        if not check_folder(options.folder, about):
            write_together({options.folder / OPTIONS: partial(json.dump, about, indent=2)})
        plans, model = _plans(cfg, data, edit_options, options, edited, checker, known, journal)
        built = _build(plans, options, texts, images, checker, journal)
    if options.shard is not None:
        log.info("part %d of %d is through; when all are, give the command without task.shard", *options.shard)
        return None
    return _write(options, plans, model, about, *built)


def _build(
    plans: Sequence[EditPlan],
    options: BuildOptions,
    texts: TextProvider,
    images: Mapping[str, ImageProvider],
    checker: VLMChecker | None,
    journal: Journal,
) -> tuple[dict[str, list[PictureJob]], dict[str, Written], dict[str, Drawn]]:
    """Write and draw everything; pictures by edit, what became of texts and of pictures by item."""
    settings = options.settings
    writing = [job for plan in plans for job in text_jobs(plan, settings)]
    with _bar("Texts", len(writing), "text") as advance:
        written = write_texts(writing, texts, journal, attempts=settings.attempts, seed=settings.seed, progress=advance)
    if options.release:
        texts.release()
    good = {item: found.texts for item, found in written.items()}
    drawing = {plan.edit.id: picture_jobs(plan, settings, list(images), good) for plan in plans}
    studio = Studio(
        images,
        checker if options.question else None,
        PictureStore(options.folder, options.picture_format),
        journal,
        options.quality,
        seed=settings.seed,
        release=options.release,
    )
    jobs = [job for own in drawing.values() for job in own]
    with _bar("Pictures", len(jobs), "picture") as advance:
        return drawing, written, studio.draw(jobs, advance)


def _write(
    options: BuildOptions,
    plans: Sequence[EditPlan],
    model: str,
    about: Mapping[str, Any],
    drawing: Mapping[str, list[PictureJob]],
    written: Mapping[str, Written],
    drawn: Mapping[str, Drawn],
) -> dict[str, Any]:
    """The folder's files, all of them or none."""
    rows, items = [], []
    for plan in plans:
        made, dropped = items_of(plan, drawing[plan.edit.id], options.settings, written, drawn)
        rows.append(edit_row(plan, model, options.settings.suites, dropped))
        items += made
    edits, everything = merged(options.folder, rows, items, options.settings.suites)
    total = summary(edits, everything, {"dataset": about["dataset"], "options": OPTIONS})
    write_together(
        {
            options.folder / EDITS: partial(dump_lines, edits),
            options.folder / ITEMS: partial(dump_lines, everything),
            options.folder / ABOUT: partial(json.dump, total, indent=2),
        }
    )
    for suite, number in total["made"].items():
        log.info("%s: %d questions", suite, number)
        for why, lost in total["dropped"].get(suite, {}).items():
            log.info("  %s: %d dropped: %s", suite, lost, why)
    for name, number in total["edits_without_error_chain"].items():
        log.info("coe_gen: %s denies no fact of %d edits, which have no question", name, number)
    log.info("ask them: dataset.suites=%s", options.folder)
    return total


def _plans(
    cfg: DictConfig,
    data: DataBundle,
    edit_options: EditOptions,
    options: BuildOptions,
    edited: VLMHolder,
    checker: VLMChecker | None,
    known: Mapping[int, str],
    journal: Journal,
) -> tuple[list[EditPlan], str]:
    """The model's errors of this part with chains and captions, as an edit run of the same options makes them."""
    vlm = edited.get()
    scoring = Scoring.of(cfg, edit_options)
    _, errors, _, _ = mine_errors(data, vlm, scoring)
    records = {record.id: record for record in data.records}
    chosen = [records[name] for name in errors[: edit_options.edits]]
    if not chosen:
        raise ConfigError(f"dataset={data.name}: no error of this model to build suites for")
    if len(chosen) < edit_options.edits:
        log.info("dataset.edits=%d, but only %d errors are there", edit_options.edits, len(chosen))
    edits = [record.as_edit() for record in chosen]
    chains: list[tuple[int, ...]] = [()] * len(edits)
    if "coe_gen" in options.settings.suites:
        with _bar("Error chains", len(edits), "edit") as advance:
            chains = chains_of(vlm, edits, scoring, _steps(advance))
    model = f"{PurePath(vlm.name).name}@{vlm.fingerprint[:12]}"
    del vlm
    if options.release and (checker is None or checker.holder is not edited):
        edited.release()
    # Chains are shared through the cache, in chunks of all edits; everything from here on is made once, by one part.
    part, parts = options.shard or (0, 1)
    own = list(zip(edits, chosen, chains, strict=True))[part::parts]
    captions = _captions([record for _, record, _ in own], options, checker, known, journal)
    if options.release:
        edited.release()
    return [
        EditPlan(edit, record, chain, captions[record.id].text, captions[record.id].origin)
        for edit, record, chain in own
    ], model


def _captions(
    records: Sequence[QARecord],
    options: BuildOptions,
    checker: VLMChecker | None,
    known: Mapping[int, str],
    journal: Journal,
) -> dict[str, Caption]:
    describer = checker if options.caption_prompt else None
    with _bar("Captions", len(records), "picture") as advance:
        captions = caption_all(records, known, describer, journal, options.quality.batch_size, advance)
    if describer is not None and options.release:
        describer.release()
    return captions


def _say_costs(
    data: DataBundle,
    options: BuildOptions,
    edits: int,
    texts: TextProvider,
    images: Mapping[str, ImageProvider],
    known: Mapping[int, str],
) -> None:
    """Log an estimate. Which records are errors, and how long their chains are, is not known: all facts are assumed."""
    plans = [
        EditPlan(
            record.as_edit(),
            record,
            tuple(range(len(record.reasoning))),
            (own_caption(record, known) or Caption()).text,
        )
        for record in islice(data.records, SAMPLE)
    ]
    rows = [row for path in sorted((options.folder / "journal").glob("*.jsonl")) for row in read_rows(path)[0].values()]
    found = estimate(
        plans,
        options.settings,
        {name: provider.seconds_per_image for name, provider in images.items()},
        measure(rows),
        checked=bool(options.question),
        described=bool(options.caption_prompt),
        written_here=texts.runs_here,
        edits=min(edits, len(data.records)),
    )
    log.info("%s, as its first %d records suggest, if all its facts induce each error:", data.name, len(plans))
    for line in found.lines(options.settings.regenerations, options.settings.attempts):
        log.info("  %s", line)
    if rows:
        log.info("  measured on what %s holds: %d calls and pictures", options.folder, len(rows))


def _device(cfg: DictConfig, output: Path) -> str:
    """The device that ``trainer`` asks for; one, since several processes would pay for the same."""
    from rv_edit.tasks.training import build_trainer

    if str(cfg.trainer.devices) != "1":
        raise ConfigError(
            f"trainer.devices={cfg.trainer.devices}: suites are built by one process a device; start one each with "
            "task.shard=0/n, 1/n, …"
        )
    strategy: Any = build_trainer(cfg, output).strategy
    return str(strategy.root_device)


def _steps(advance: Any) -> Any:
    """From "so many are done" to "so many more"."""
    done = [0]

    def tell(now: int, _: int) -> None:
        advance(now - done[0])
        done[0] = now

    return tell


@contextmanager
def _bar(what: str, total: int, unit: str) -> Iterator[Any]:
    """A progress bar on a terminal, nothing elsewhere."""
    from tqdm import tqdm

    with tqdm(total=total, desc=what, unit=unit, disable=None, leave=False) as bar:
        yield bar.update
