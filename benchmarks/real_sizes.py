"""``python benchmarks/real_sizes.py --device cuda``: what an edit, an answer, mining and topology cost at real size.

LLaVA-1.5-7B and Qwen3-VL-8B are built from their configurations with random bf16 weights, and asked on pictures of
real photo sizes. Options are those of ``conf/``, but for two gates that are forced open, so that no step is skipped:
every patch is taken to show every fact, and every question retrieves. The plain model gets the same final prompts.
``real_sizes.json`` and ``real_sizes.md`` go to ``--out``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from made_records import SIZES, picture, record
from omegaconf import DictConfig, OmegaConf
from random_models import Scale, build, sentence_encoder
from real_sizes_page import page

from data_modules.records import Answer, Question
from rv_edit.augment import ImageAugmenter
from rv_edit.benchmark import mine
from rv_edit.cli import conf_dir
from rv_edit.codebook.packing import widen
from rv_edit.editors.answering import Asking
from rv_edit.editors.base import EditorContext
from rv_edit.editors.reasonedit import ReasonEdit
from rv_edit.tasks.measuring import measure_layers
from rv_edit.tasks.networks import Pools, build_network
from rv_edit.topology import Layout
from rv_edit.vlm import VLM

MODELS = ("llava_1_5_7b", "qwen3_vl_8b")
WARM_UP = 2
"""Edits, and rounds of questions, before those that are measured."""


@dataclass
class Bench:
    """One model, one device, and what was measured so far.

    Attributes:
        vlm: The model.
        editor: With its gates open.
        asking: How questions are batched.
        weights: Bytes of the model's and the encoder's weights.
        found: The measurements.
    """

    vlm: VLM
    editor: ReasonEdit
    asking: Asking
    weights: int
    found: dict[str, Any] = field(default_factory=dict)

    def timed(self, call: Callable[[], Any]) -> tuple[float, Any]:
        """Seconds until the device is done, and the result."""
        self.wait()
        started = time.perf_counter()
        result = call()
        self.wait()
        return time.perf_counter() - started, result

    def wait(self) -> None:
        """Until everything that was started on the device is done."""
        if self.vlm.device.type == "cuda":
            torch.cuda.synchronize(self.vlm.device)

    def stage(self, name: str, call: Callable[[], dict[str, Any]]) -> None:
        """Measure something, and the memory that it took at most beyond the weights (GB, on a GPU)."""
        gpu = self.vlm.device.type == "cuda"
        if gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.vlm.device)
        seconds, found = self.timed(call)
        peak = torch.cuda.max_memory_allocated(self.vlm.device) - self.weights if gpu else None
        self.found[name] = {**found, "beyond_weights_gb": None if peak is None else peak / 1e9}
        print(f"  {name}: {seconds:.1f} s in all", flush=True)


def options(name: str) -> DictConfig:
    """The shipped options of a model, with the gates open."""
    opened = ["editor.evidence.threshold=0.0", "editor.codebook.gate=none"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("config", overrides=[f"model={name}", "dataset=aokvqa", "editor=reasonedit", *opened])


def prepare(name: str, args: argparse.Namespace, folder: Path) -> Bench:
    """Build the model, the encoder and the editor."""
    cfg, device, scale = options(name), torch.device(args.device), Scale(args.scale)
    records = [record(number, sizes=args.sizes) for number in range(args.sample)]
    texts = [text for one in records for text in (one.question, *one.reasoning, *one.choices)] * 3
    started = time.perf_counter()
    vlm = build(name, scale, device, texts, cfg.model.vlm.batch_tokens)
    encoder = sentence_encoder(scale, texts, folder)
    asking = Asking(**OmegaConf.to_container(cfg.scoring, resolve=True))  # type: ignore[arg-type]
    context = EditorContext(vlm, asking, [(one.image, one.question) for one in records], seed=0)
    settings = {str(key): value for key, value in cfg.editor.items() if key != "name"}
    settings["text_encoder"] = str(encoder)
    settings["key_space"] = {**cfg.model.key_space, "layer": vlm.num_vision_layers // 2}
    editor: ReasonEdit = instantiate(settings, context, _convert_="all")
    parts = [*vlm.model.parameters(), *vlm.model.buffers(), *editor.embedding.text_encoder._model.parameters()]
    bench = Bench(vlm, editor, asking, sum(part.nbytes for part in parts))
    bench.wait()
    bench.found["model"] = {
        "parameters": sum(part.numel() for part in vlm.model.parameters()),
        "weights_gb": bench.weights / 1e9,
        "seconds_to_build": time.perf_counter() - started,
        "image_tokens": vlm.picture_length(vlm.encode_images([picture(0, args.sizes[0]).open()]).rows[0]),
        "batch_tokens": vlm.batch_tokens,
    }
    return bench


def edits(bench: Bench, args: argparse.Namespace) -> dict[str, Any]:
    """Edits with three facts each and no crop given: every patch is asked about every fact."""
    first, seconds, keys = 100_000, [], []
    for number in range(WARM_UP + args.edits):
        edit = record(first + number, sizes=args.sizes).as_edit()
        taken, receipt = bench.timed(lambda edit=edit: bench.editor.edit(edit))
        if number >= WARM_UP:
            seconds.append(taken)
            keys.append(receipt.keys_added + receipt.keys_merged)
        assert all(receipt.evidence[index] for index in range(len(edit.reasoning))), "a gate was not open"
    return {**spread(seconds), "entries_an_edit": statistics.mean(keys), "edits": len(seconds)}


def fill(bench: Bench, count: int) -> None:
    """Keys as of ``count`` further edits, so that retrieval searches a codebook of real size."""
    book, entries = bench.editor.codebook, round(bench.found["edit"]["entries_an_edit"])
    known, generator = widen(book.keys), torch.Generator().manual_seed(0)
    for number in range(count):
        rows = torch.randint(len(known), (entries,), generator=generator)
        drawn = known[rows.to(known.device)].cpu()
        keys = drawn + 0.2 * drawn.std() * torch.randn(drawn.shape, generator=generator)
        sentences = [
            f"Fact {row} of made-up edit {number} is stated here in about ten words." for row in range(entries)
        ]
        book.insert(f"made-{number}", keys, sentences, [0.0] * entries, ["answer", *["reasoning"] * (entries - 1)])


def answers(bench: Bench, size: int, args: argparse.Namespace) -> dict[str, Any]:
    """Rounds of ``size`` new questions, each asked of the editor and then of the plain model with the same prompts."""
    ours, plain, apart, facts = [], [], [], []
    for turn in range(WARM_UP + args.rounds):
        first = 1_000_000 + 10_000 * size + turn * size
        questions = [record(first + number, sizes=args.sizes).as_question() for number in range(size)]
        edited, given = bench.timed(lambda questions=questions: bench.editor.answer(questions))
        alone, scores = bench.timed(lambda questions=questions, given=given: plainly(bench, questions, given))
        if turn >= WARM_UP:
            ours.append(edited)
            plain.append(alone)
            apart.append(
                max(abs(a - b) for x, y in zip(given, scores, strict=True) for a, b in zip(x.scores, y, strict=True))
            )
            facts.append(statistics.mean(len(answer.facts) for answer in given))
    share = statistics.median((one - other) / other for one, other in zip(ours, plain, strict=True))
    return {
        "questions": size,
        "rounds": args.rounds,
        "edited": spread([value / size for value in ours]),
        "plain": spread([value / size for value in plain]),
        "our_share": share,
        "facts_a_question": statistics.mean(facts),
        "largest_score_difference": max(apart),
        "keys": len(bench.editor.codebook),
    }


def plainly(bench: Bench, questions: Sequence[Question], given: Sequence[Answer]) -> list[tuple[float, ...]]:
    """The model's own scores of the prompts that the editor made: pictures decoded, looked at, asked about."""
    vlm, asking = bench.vlm, bench.asking
    feats = vlm.encode_images([question.image.open() for question in questions])
    prompts = [vlm.format_prompt(q.text, a.facts) for q, a in zip(questions, given, strict=True)]
    choices = [list(question.choices) for question in questions]
    scored = vlm.score(feats, prompts, choices, asking.normalize, asking.batch_size)
    return [score.logp for score in scored]


def mining(bench: Bench, args: argparse.Namespace) -> dict[str, Any]:
    """Questions a second, as errors are mined from a data set."""
    records = [record(2_000_000 + number, sizes=args.sizes) for number in range(args.mined)]
    taken, found = bench.timed(lambda: mine(bench.vlm, records, batch_size=bench.asking.batch_size))
    assert len(found.scored) == len(records)
    return {"questions": len(records), "seconds": taken, "hours_for_18000": taken / len(records) * 18_000 / 3600}


def topology(bench: Bench, args: argparse.Namespace) -> dict[str, Any]:
    """One network of ``--pairs`` pairs, all layers, both poolings."""
    layout = Layout(args.pairs, args.pairs - 1, anchors=min(args.pairs, 10), around=min(args.pairs, 10))
    records = [record(3_000_000 + number, sizes=args.sizes) for number in range(args.pairs)]
    others = tuple(picture(4_000_000 + number, args.sizes[0]) for number in range(2 * layout.around))
    pools = Pools(tuple(f"Sentence {number} is about something else." for number in range(100)), others)
    network = build_network(records, layout, pools, None, seed=0)
    images = network.open(ImageAugmenter(tile_pool=others), seed=0)
    taken, _ = bench.timed(lambda: measure_layers(bench.vlm, network, images, bench.asking.batch_size))
    return {"pairs": args.pairs, "nodes": layout.nodes, "seconds_a_network": taken}


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Median and ninth decile."""
    ordered = sorted(seconds)
    return {"median_s": statistics.median(ordered), "p90_s": ordered[min(len(ordered) - 1, round(0.9 * len(ordered)))]}


def measure(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """All stages of one model."""
    print(name, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = prepare(name, args, Path(folder))
    bench.editor.codebook.to(bench.vlm.device)  # where the trainer has it
    bench.stage("edit", lambda: edits(bench, args))
    fill(bench, args.fill)
    bench.stage("answer_batch", lambda: answers(bench, args.questions, args))
    bench.stage("answer_single", lambda: answers(bench, 1, args))
    bench.stage("mining", lambda: mining(bench, args))
    bench.stage("topology", lambda: topology(bench, args))
    return bench.found


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures depend on."""
    import transformers

    gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if gpu else f"CPU, {torch.get_num_threads()} threads",
        "memory_gb": torch.cuda.get_device_properties(device).total_memory / 1e9 if gpu else None,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def sizes(text: str) -> tuple[tuple[int, int], ...]:
    """``640x480,480x640`` as widths and heights."""
    pairs = [part.split("x") for part in text.split(",")]
    return tuple((int(width), int(height)) for width, height in pairs)


def main() -> None:
    """Measure, and write both files whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, … or cpu")
    parser.add_argument("--scale", type=float, default=1.0, help="share of depth and width; below 1 to try it out")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--sizes", type=sizes, default=SIZES, help="of pictures, such as 640x480,480x640")
    parser.add_argument("--edits", type=int, default=20, help="measured edits")
    parser.add_argument("--fill", type=int, default=200, help="further edits' keys in the codebook")
    parser.add_argument("--questions", type=int, default=32, help="questions asked together")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of questions")
    parser.add_argument("--mined", type=int, default=256, help="questions mined")
    parser.add_argument("--pairs", type=int, default=20, help="pairs of the measured network")
    parser.add_argument("--sample", type=int, default=64, help="pictures for tiles and calibration")
    parser.add_argument("--out", type=Path, default=Path("outputs/real_sizes"))
    args = parser.parse_args()
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; try it out with --device cpu --scale 0.02 --edits 1 --rounds 1")
    if not 0 < args.scale <= 1 or min(args.edits, args.rounds, args.questions, args.mined) < 1 or args.pairs < 2:
        parser.error("give a scale above 0 and up to 1, at least 1 of everything, and at least 2 pairs")
    given = {key: value for key, value in vars(args).items() if key != "out"}
    results = {"options": given, "machine": machine(torch.device(args.device)), "models": {}}
    for name in args.models:
        results["models"][name] = measure(name, args)
        if args.device.startswith("cuda"):
            torch.cuda.empty_cache()
    args.out.mkdir(parents=True, exist_ok=True)
    for suffix, text in ((".json", json.dumps(results, indent=2) + "\n"), (".md", page(results))):
        temporary = args.out / f".real_sizes{suffix}"
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, args.out / f"real_sizes{suffix}")
        print(args.out / f"real_sizes{suffix}")


if __name__ == "__main__":
    main()
