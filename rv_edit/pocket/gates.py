"""``python -m rv_edit.pocket.gates``: measure what a pocket VLM knows and obeys, and write its model card.

All scenes are unseen ones; held-out pairs of kind and colour are among them. Choices are scored exactly as in an
edit run, through the adapter.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from PIL import Image

from rv_edit.benchmark import mine
from rv_edit.pocket.dataset import load
from rv_edit.pocket.draw import value_query
from rv_edit.pocket.judge import AnswerStatement, Fact, Sighting
from rv_edit.pocket.knowledge import believed, is_taught, value_choices
from rv_edit.pocket.questions import make_question
from rv_edit.pocket.render import render
from rv_edit.pocket.scene import GRID, is_held_out, random_scene
from rv_edit.pocket.tables import RELATIONS
from rv_edit.pocket.training.lessons import CROPS, View, correct_item, show_item
from rv_edit.pocket.training.stream import picture_of
from rv_edit.pocket.words import made_up_elsewhere

if TYPE_CHECKING:
    from rv_edit.vlm import VLM


@dataclass(frozen=True)
class Item:
    """A question with what stands before it."""

    picture: Image.Image
    text: str
    choices: tuple[str, ...]
    target: int
    facts: tuple[str, ...] = ()


def predictions(vlm: VLM, items: Sequence[Item], batch: int = 32) -> list[int]:
    """Arg-max choice of every item."""
    found: list[int] = []
    for start in range(0, len(items), batch):
        part = items[start : start + batch]
        feats = vlm.encode_images([item.picture for item in part])
        prompts = [vlm.format_prompt(item.text, item.facts) for item in part]
        scores = vlm.score(feats, prompts, [item.choices for item in part], batch_size=batch)
        found += [max(range(len(one.logp)), key=lambda i: (one.logp[i], -i)) for one in scores]
    return found


def accuracy(vlm: VLM, items: Sequence[Item]) -> float:
    """Share of items answered right."""
    return sum(a == item.target for a, item in zip(predictions(vlm, items), items, strict=True)) / max(len(items), 1)


def auc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """Area under the ROC curve (ties count half).

    >>> auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    0.75
    """
    yes = [s for s, p in zip(scores, positive, strict=True) if p]
    no = [s for s, p in zip(scores, positive, strict=True) if not p]
    wins = sum((y > n) + 0.5 * (y == n) for y in yes for n in no)
    return wins / (len(yes) * len(no))


def taught_items(n: int) -> tuple[list[Item], list[bool]]:
    """Questions on taught facts about visible things; whether the thing is of a held-out pair."""
    items, rare = [], []
    for index in range(n):
        rng = Random(f"gates/taught/{index}")
        scene = random_scene(rng, held_out=True)
        thing = rng.choice(scene.things)
        relation = rng.choice([name for name in RELATIONS if is_taught(thing.kind, name)])
        query = value_query(scene, thing, relation, rng, named=0.0)
        choices = value_choices(thing.kind, relation, rng)
        right = believed(thing.kind, relation)
        assert right is not None
        items.append(Item(render(scene), query.render(rng), choices, choices.index(right)))
        rare.append(is_held_out(thing.kind, thing.colour))
    return items, rare


def pool_items(dataset: str, n: int, split: str = "test") -> list[tuple[Item, str, tuple[str, ...]]]:
    """Questions of a data set, each with its answer sentence and its reasoning."""
    made = []
    for index in range(n):
        one = make_question(dataset, split, index)
        item = Item(render(one.scene), one.text, one.choices, one.choices.index(one.answer))
        sentence = f"The answer to question {one.text} about the image is {one.answer}."
        made.append((item, sentence, one.sentences))
    return made


def invented_items(n: int, by: str) -> list[Item]:
    """Questions whose context states a made-up answer or value, of a sort that training never used."""
    items = []
    for index in range(n):
        rng = Random(f"gates/invented/{by}/{index}")
        scene = random_scene(rng, held_out=True)
        thing, relation = rng.choice(scene.things), rng.choice(list(RELATIONS))
        query, word = value_query(scene, thing, relation, rng, named=0.1), made_up_elsewhere(rng)
        choices = [word, *value_choices(thing.kind, relation, rng, 3)]
        rng.shuffle(choices)
        fact = Fact(thing.kind, relation, word).render(rng)
        if by == "answer":
            facts = [AnswerStatement(query, word).render(rng)]
        else:
            facts = [Sighting(query.description, thing.kind).render(rng), fact][rng.randrange(2) :]
        items.append(Item(render(scene), query.render(rng), tuple(choices), choices.index(word), tuple(facts)))
    return items


def yes_no_auc(vlm: VLM, cases: Sequence[tuple[Image.Image, str, str]]) -> float:
    """AUC of p(yes) against the truth."""
    import torch

    scores: list[float] = []
    for start in range(0, len(cases), 64):
        part = cases[start : start + 64]
        feats = vlm.encode_images([picture for picture, _, _ in part])
        logp = vlm.yes_no(feats, [vlm.format_prompt(text) for _, text, _ in part])
        scores += torch.softmax(logp, -1)[:, 0].tolist()
    return auc(scores, [answer == "yes" for _, _, answer in cases])


def show_cases(n: int) -> list[tuple[Image.Image, str, str]]:
    """Ask "Does the image show …?" on crops; negatives come from the same scene, or differ in kind or looks."""
    cases: list[tuple[Image.Image, str, str]] = []
    for index in range(n):
        rng = Random(f"gates/show/{index}")
        scene = random_scene(rng, held_out=True)
        rows, cols = rng.choice(CROPS)
        thing = rng.choice(scene.things)
        row = min(max(thing.row - rng.randrange(rows), 0), GRID - rows)
        col = min(max(thing.col - rng.randrange(cols), 0), GRID - cols)
        view = View(scene, row, col, rows, cols)
        item = show_item(view, rng)
        cases.append((picture_of(view), item.question, item.answer))
    return cases


def correct_cases(n: int, conjunctions: bool) -> list[tuple[Image.Image, str, str]]:
    """The chain-of-error prompt, on single statements or on conjunctions."""
    cases: list[tuple[Image.Image, str, str]] = []
    index = 0
    while len(cases) < n:
        rng = Random(f"gates/correct/{index}")
        index += 1
        scene = random_scene(rng, held_out=True)
        item = correct_item(scene, rng)
        if (item.question.count(". ") > 0) == conjunctions:
            cases.append((render(scene), item.question, item.answer))
    return cases


def mined_errors(vlm: VLM, dataset: str, pools: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Errors of a model in pools of so many questions a split: what there is to correct, and to tune with."""
    found = {}
    for split, questions in pools.items():
        mined = mine(vlm, load(dataset, split=split, questions=questions).records)
        found[split] = {"questions": questions, "errors": len(mined.errors)}
    return found


def measure(
    vlm: VLM, model: str, n: int = 1000, pools: Mapping[str, int] | None = None, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """All gates of a model and of the folder it was loaded from; ``pools`` as in :func:`mined_errors`."""
    from rv_edit.pocket.strays import strays_unchanged

    results: dict[str, Any] = {}
    items, rare = taught_items(n)
    right = [a == item.target for a, item in zip(predictions(vlm, items), items, strict=True)]
    results["taught"] = sum(right) / n
    results["taught_held_out_pairs"] = sum(r for r, one in zip(right, rare, strict=True) if one) / max(sum(rare), 1)
    say(f"taught {results['taught']:.3f} held-out pairs {results['taught_held_out_pairs']:.3f} ({sum(rare)})")
    for dataset in ("aokvqa", "fvqa"):
        pool = pool_items(dataset, n)
        guesses = predictions(vlm, [item for item, _, _ in pool])
        wrong = [one for guess, one in zip(guesses, pool, strict=True) if guess != one[0].target]
        told = [Item(i.picture, i.text, i.choices, i.target, (sentence,)) for i, sentence, _ in wrong]
        facts = [Item(i.picture, i.text, i.choices, i.target, reasons) for i, _, reasons in wrong]
        both = [Item(i.picture, i.text, i.choices, i.target, (s, *reasons)) for i, s, reasons in wrong]
        results[dataset] = {
            "error_rate": len(wrong) / n,
            "answer_sentence": accuracy(vlm, told),
            "facts_only": accuracy(vlm, facts),
            "both": accuracy(vlm, both),
            "strays_unchanged": strays_unchanged(vlm, model, dataset, n),
        }
        if pools:
            results[dataset]["mined"] = mined_errors(vlm, dataset, pools)
        say(f"{dataset} {results[dataset]}")
    for by in ("answer", "fact"):
        results[f"made_up_{by}"] = accuracy(vlm, invented_items(n // 2, by))
    results["show_auc"] = yes_no_auc(vlm, show_cases(n))
    results["correct_auc"] = yes_no_auc(vlm, correct_cases(n, False))
    results["correct_conjunction_auc"] = yes_no_auc(vlm, correct_cases(n, True))
    say(str({key: value for key, value in results.items() if not isinstance(value, dict)}))
    return results


def main() -> None:
    """Measure; write ``gates.json`` and the model card beside the weights."""
    from rv_edit.pocket.card import card
    from rv_edit.vlm import load_vlm
    from rv_edit.vlm.loading import resolve_checkpoint

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="package://rv_edit.pocket/weights/llava")
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--pool", type=int, default=10_000, help="test questions in which errors are mined; 0: none")
    parser.add_argument("--tune-pool", type=int, default=2_500, help="the same of the tune split")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    args = parser.parse_args()
    started = time.perf_counter()
    vlm = load_vlm(args.model)
    pools = {"test": args.pool, "tune": args.tune_pool} if args.pool else None
    about = {"questions": args.questions, "weights": vlm.fingerprint}
    results = {**about, **measure(vlm, args.model, args.questions, pools)}
    sys.stdout.write(f"{json.dumps(results, indent=2)} {time.perf_counter() - started:.0f} s\n")
    folder = Path(resolve_checkpoint(args.model))
    if not args.dry_run:
        parameters = sum(p.numel() for p in vlm.model.parameters())
        text = card(results, parameters, f"Pocket {folder.name}", type(vlm.model).__name__)
        (folder / "gates.json").write_text(json.dumps(results, indent=2) + "\n")
        (folder / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
