"""``python benchmarks/speed.py``: how fast each part is, beside a named alternative measured in the same run.

Parts are chosen by ``--parts``: scoring, evidence, answers, growth, searching, index, suites, ranks.
The two ways take turns, their results are asserted equal, and the ratio is the median over the rounds. With one
thread times are processor time, so that other programs hardly count. What is found goes to ``--out``, one file a part;
the tables of docs/performance.md are written anew from all that is there. ``--scale 0.05`` tries it out, small.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
from pathlib import Path

import torch

from benchmarks.speed_parts.common import Options, Part
from benchmarks.speed_parts.page import written

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("scoring", "evidence", "answers", "growth", "searching", "index", "suites", "ranks")


def main() -> None:
    """Measure the parts asked for, one after the other, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--models", nargs="+", default=["llava"], help="checkpoints of the embedded world")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="share of all sizes; below 1 to try it out")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs/speed")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/performance.md")
    args = parser.parse_args()
    if args.rounds < 1 or args.threads < 1 or not 0 < args.scale <= 1:
        parser.error("give at least 1 round and thread, and a scale above 0 and up to 1")
    torch.set_num_threads(args.threads)
    options = Options(args.threads, args.rounds, args.scale, tuple(args.models))
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.parts:
        part: Part = importlib.import_module(f"benchmarks.speed_parts.{name}").measure(options)
        replace(args.out / f"{name}.json", json.dumps(part.plain(), indent=1) + "\n")
        for row in part.rows:
            print(
                f"{name}: {row.what}: {row.ratio:.2f} (target {row.target}), ours {row.ours:.4g} {row.unit}", flush=True
            )
        for note in part.notes:
            print(f"{name}: {note}", flush=True)
    files = {name: args.out / f"{name}.json" for name in PARTS}
    parts = {name: Part.read(json.loads(file.read_text())) for name, file in files.items() if file.is_file()}
    replace(args.page, written(args.page.read_text(), parts))
    print(args.page)


def replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


if __name__ == "__main__":
    main()
