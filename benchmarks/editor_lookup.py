"""``python benchmarks/editor_lookup.py``: what share of an answer a look-up among many edits takes.

GRACE, BalancEdit and IKE hold ``--edits`` made-up entries beside the keys of real questions, none in reach, and answer
the same questions of the embedded data set. What the look-up takes is timed inside the answers; beside it stands the
same search written as a loop over the questions (``cdist`` to all keys, one question at a time), and the unedited model
on the same questions. ``--dim`` times the search alone at a width of a larger model.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from data_modules.records import Question
from rv_edit.codebook.search import nearest
from rv_edit.editors.answering import Asking
from rv_edit.editors.balancedit import BalancEdit
from rv_edit.editors.entry_editor import EntryEditor
from rv_edit.editors.grace import Grace
from rv_edit.editors.ike import IKE
from rv_edit.editors.placing import Row
from rv_edit.editors.rephrasing import Rephraser
from rv_edit.editors.target_reading import prompt_key
from rv_edit.editors.unedited import Unedited
from rv_edit.editors.value_training import Schedule
from rv_edit.embedding import TextEncoder
from rv_edit.vlm import load_vlm

clock = time.process_time if not torch.cuda.is_available() else time.perf_counter
"""On a processor, its own seconds, so that other work on the machine does not count."""

WEIGHTS = "package://rv_edit.pocket/weights"


class Stopwatch:
    """Seconds spent in a method of an object while the block runs."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def on(self, owner: Any, name: str) -> Iterator[None]:
        """Time ``owner.name``."""
        method: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = clock()
            try:
                return method(*args, **kwargs)
            finally:
                self.seconds += clock() - started

        object.__setattr__(owner, name, timed)
        try:
            yield
        finally:
            object.__delattr__(owner, name)


def fill(editor: EntryEditor, questions: Sequence[Question], edits: int) -> None:
    """Entries whose keys lie around those of the questions, each too far to be in reach."""
    memory, vlm = editor.entries, editor.vlm
    generator = torch.Generator().manual_seed(0)
    centres = torch.stack(
        [
            prompt_key(vlm, vlm.encode_images([item.image.open()]), vlm.format_prompt(item.text), editor.pooling)
            for item in questions[:16]
        ]
    )
    spread = float(torch.pdist(centres).median()) / memory.dim**0.5
    noise = torch.randn(edits, memory.dim, generator=generator) * spread
    memory.keys = centres[torch.arange(edits) % len(centres)] + noise
    memory.radii = torch.zeros(edits)
    memory.values = torch.zeros(edits, memory.width)
    memory.rows = tuple(Row(index, 0.0, (index,)) for index in range(edits))


def fill_ike(editor: IKE, edits: int) -> None:
    """Sentences with random directions for keys."""
    generator = torch.Generator().manual_seed(0)
    keys = nn.functional.normalize(torch.randn(edits, editor.encoder.dim, generator=generator), dim=1)
    sentences = [f"Sentence {index} is true." for index in range(edits)]
    editor.codebook.insert("made up", keys, sentences, torch.zeros(edits), ["reasoning"] * edits)
    editor.codebook.configure(gate="percentile", percentile=0.0)  # nothing is near: prompts stay as they are


def looped(queries: Tensor, keys: Tensor) -> list[tuple[float, int]]:
    """The nearest key of each query, one at a time."""
    found = []
    for query in queries:
        near, index = torch.cdist(query[None].float(), keys.float())[0].min(dim=0)
        found.append((float(near), int(index)))
    return found


def best_of(call: Callable[[], object], repeats: int) -> float:
    """The shortest of some runs, in seconds."""
    times = []
    for _ in range(repeats):
        started = clock()
        call()
        times.append(clock() - started)
    return min(times)


def search_alone(dim: int, edits: int, batch: int, repeats: int) -> str:
    """A line on the search by itself."""
    generator = torch.Generator().manual_seed(1)
    keys, queries = torch.randn(edits, dim, generator=generator), torch.randn(batch, dim, generator=generator)
    fast = best_of(lambda: nearest(queries, keys, 1), repeats) / batch
    slow = best_of(lambda: looped(queries, keys), repeats) / batch
    return f"| search alone, width {dim} | {batch} | – | {1e3 * fast:.3f} | {1e3 * slow:.3f} | – |"


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=5000)
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 1])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dim", type=int, default=4096)
    args = parser.parse_args()
    from rv_edit.pocket.dataset import load

    vlm = load_vlm(f"{WEIGHTS}/llava")
    questions = [record.as_question() for record in load("aokvqa").records[: args.questions]]
    encoder = TextEncoder(f"{WEIGHTS}/sentence_encoder")
    print(f"{args.edits} edits, {len(questions)} questions, {torch.get_num_threads()} thread(s), {clock.__name__}")
    print("| editor | batch | ms an answer | of it look-up | the same in a loop | share |\n|---|---|---|---|---|---|")
    for batch in args.batches:
        asking = Asking(batch_size=batch)
        # As a page or a service asks: with a batch of one, each question by itself.
        parts = [questions] if batch > 1 else [[item] for item in questions]
        schedule = Schedule()
        editors: dict[str, Any] = {
            "unedited": Unedited(vlm, asking),
            "grace": Grace(vlm, 1.0, schedule, asking=asking),
            "balancedit": BalancEdit(vlm, Rephraser(vlm), schedule, asking=asking),
            "ike": IKE(vlm, encoder, asking=asking),
        }
        for name, editor in editors.items():
            watch, slow, owner, method = Stopwatch(), float("nan"), editor, "answer"
            if isinstance(editor, EntryEditor):
                fill(editor, questions, args.edits)
                owner, method = editor.entries, "find"
                queries = editor.entries.keys[: len(questions)] + 0.1
                slow = best_of(lambda q=queries, k=editor.entries.keys: looped(q, k), args.repeats)  # type: ignore[misc]
            elif isinstance(editor, IKE):
                fill_ike(editor, args.edits)
                owner, method = editor.codebook, "retrieve"
            [editor.answer(part) for part in parts[:2]]
            started = clock()
            for _ in range(args.repeats):
                with watch.on(owner, method):
                    for part in parts:
                        editor.answer(part)
            whole = (clock() - started) / args.repeats / len(questions)
            if name == "unedited":
                print(f"| {name} | {batch} | {1e3 * whole:.2f} | – | – | – |", flush=True)
                continue
            spent = watch.seconds / args.repeats / len(questions)
            loop = "–" if slow != slow else f"{1e3 * slow / len(questions):.3f}"
            print(
                f"| {name} | {batch} | {1e3 * whole:.2f} | {1e3 * spent:.3f} | {loop} | {spent / whole:.1%} |",
                flush=True,
            )
        print(search_alone(args.dim, args.edits, batch, args.repeats), flush=True)


if __name__ == "__main__":
    main()
