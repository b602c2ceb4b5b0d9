"""The page of ``real_sizes.py``: figures beside what the project asks for on an H200."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EDIT_S, SHARE, MEMORY_GB = 3.0, 0.10, 4.0
"""Targets: seconds an edit, our part of an answer over the plain model's time, memory beyond the weights."""
STAGES = {
    "edit": "edit",
    "answer_batch": "answers, batched",
    "answer_single": "answers, one by one",
    "mining": "mining",
    "topology": "topology",
}


def page(results: Mapping[str, Any]) -> str:
    """Markdown."""
    options, machine = results["options"], results["machine"]
    judged = options["scale"] == 1 and options["device"].startswith("cuda")
    lines = [
        "# Cost at real size",
        "",
        "Random bf16 weights in the models' shapes, made-up pictures, all gates forced open. Pictures of "
        + ", ".join(f"{width}×{height}" for width, height in options["sizes"])
        + f" pixels; {machine['device']}, torch {machine['torch']}, transformers {machine['transformers']}.",
        "",
    ]
    if not judged:
        lines += [
            f"**A trial on {options['device']} at scale {options['scale']:g}: it shows that everything runs, and its "
            "figures say nothing of real cost.**",
            "",
        ]
    for name, found in results["models"].items():
        lines += section(name, found, judged)
    return "\n".join(lines)


def section(name: str, found: Mapping[str, Any], judged: bool) -> list[str]:
    """The tables of one model."""
    model, edit, mining, network = (found[key] for key in ("model", "edit", "mining", "topology"))
    share = found["answer_batch"]["our_share"]
    memory = [found[stage]["beyond_weights_gb"] for stage in STAGES]
    most = None if None in memory else max(memory)
    lines = [
        f"## `{name}`",
        "",
        f"{model['parameters'] / 1e9:.3g} billion parameters, {model['weights_gb']:.3g} GB with the sentence encoder, "
        f"{model['image_tokens']} tokens a picture, batches of up to {model['batch_tokens']} tokens.",
        "",
        "| what is asked | measured | target on an H200 | met |",
        "| --- | --- | --- | --- |",
        row("seconds an edit, evidence found (median)", f"{edit['median_s']:.2f}", f"≤ {EDIT_S:g}",
            edit["median_s"] <= EDIT_S, judged),
        row("our part of an answer, of the plain model's time", f"{100 * share:.1f} %", f"≤ {100 * SHARE:g} %",
            share <= SHARE, judged),
        row("memory beyond the weights, at most", gigabytes(most), f"≤ {MEMORY_GB:g} GB",
            most is not None and most <= MEMORY_GB, judged),
        "",
        "| | median s | 90 % below | GB beyond weights |",
        "| --- | --- | --- | --- |",
        f"| an edit of 3 facts ({edit['entries_an_edit']:.1f} entries) | {edit['median_s']:.3f} "
        f"| {edit['p90_s']:.3f} | {gigabytes(edit['beyond_weights_gb'])} |",
    ]  # fmt: skip
    for stage in ("answer_batch", "answer_single"):
        one = found[stage]
        together = (
            f"{one['questions']} questions together, {one['facts_a_question']:.1f} facts each, {one['keys']} keys"
        )
        lines += [
            f"| an edited answer ({together}) | {one['edited']['median_s']:.4f} | {one['edited']['p90_s']:.4f} | "
            f"{gigabytes(one['beyond_weights_gb'])} |",
            f"| the plain model on the same prompt | {one['plain']['median_s']:.4f} | {one['plain']['p90_s']:.4f} | |",
            f"| our part of it | {100 * one['our_share']:.1f} % | | |",
        ]
    lines += [
        f"| mining a question ({mining['hours_for_18000']:.2f} hours for 18,000) | "
        f"{mining['seconds'] / mining['questions']:.4f} | | {gigabytes(mining['beyond_weights_gb'])} |",
        f"| a network of {network['pairs']} pairs, {network['nodes']} nodes, all layers | "
        f"{network['seconds_a_network']:.2f} | | {gigabytes(network['beyond_weights_gb'])} |",
        "",
    ]
    return lines


def row(what: str, measured: str, target: str, met: bool, judged: bool) -> str:
    """A line of the table of targets."""
    return f"| {what} | {measured} | {target} | {('yes' if met else '**no**') if judged else 'not judged'} |"


def gigabytes(value: float | None) -> str:
    """A number, or a dash where the device does not tell."""
    return "–" if value is None else f"{value:.2f}"
