"""``python benchmarks/last_block.py``: an edit of the final MLP block, one block a step against one full pass a step.

Both train the same block on the same edits with the same Adam, in turn, in one process. The full loop is what is
usually written: the language model runs from its input embeddings to the loss at every step. It is given the picture's
features (``full``), or, as most code does it, the pixels (``pixels``). What is compared is the time of a whole edit,
that of the one pass in front of the fast loop included: processor time on a CPU, which other programs on the machine
hardly change, else the clock's. The weights that come out are compared as well.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from rv_edit.editors import last_block
from rv_edit.editors.descent import Descending, descend
from rv_edit.vlm import VLM, load_vlm

ANSWERS = ("a red lamp", "two dogs", "on the left")
REASONING = ". The thing on the left of the picture is a lamp. Lamps of this kind are used for reading in the evening."


def picture(seed: int) -> Image.Image:
    """Coloured noise."""
    cells = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).repeat(16, axis=0).repeat(16, axis=1)
    return Image.fromarray(cells.astype(np.uint8))


def edit(vlm: VLM, how: str, index: int, reasoning: bool, steps: int) -> tuple[float, list[Tensor]]:
    """Seconds of one edit, and the weights it gives."""
    image, answer = picture(index), ANSWERS[index % len(ANSWERS)]
    prompt = vlm.format_prompt(f"What is the thing in picture {index} and what is it used for?")
    target = (answer, REASONING if reasoning else "")
    block = copy.deepcopy(vlm.final_mlp()).float().requires_grad_(True)
    stand_in = last_block.InFloat(block)
    training = Descending(lr=1e-3, steps=steps, least_steps=steps)
    clock = time.process_time if vlm.device.type == "cpu" else time.perf_counter
    synchronise(vlm)
    started = clock()
    feats = vlm.encode_images([image])
    loss: Callable[[], Tensor]
    if how == "block":
        (seen,) = last_block.trace(vlm, feats, [prompt], [target])

        def loss() -> Tensor:
            return last_block.loss(vlm, stand_in, seen)

    else:
        tokens = len(vlm.prompts.target_ids(target))

        def loss() -> Tensor:
            given = vlm.encode_images([image]) if how == "pixels" else feats
            with last_block.in_place(vlm, stand_in):
                return vlm.nll(given, [prompt], [target])[0] / tokens

    parameters: list[nn.Parameter] = list(block.parameters())
    descend(parameters, loss, training)
    synchronise(vlm)
    return clock() - started, [weight.detach() for weight in parameters]


def synchronise(vlm: VLM) -> None:
    """Wait for what a GPU has been told to do."""
    if vlm.device.type == "cuda":
        torch.cuda.synchronize(vlm.device)


def main() -> None:
    """Measure and print, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="package://rv_edit.pocket/weights/llava", help="folder or hub id")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=100, help="steps an edit")
    parser.add_argument("--edits", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    vlm = load_vlm(given.model, device=given.device, dtype=given.dtype)
    ways = ("block", "full", "pixels")
    out: dict[str, object] = {
        "model": vlm.name, "layers": len(vlm.lm_layers()), "device": given.device, "dtype": given.dtype,
        "threads": given.threads, "steps": given.steps, "machine": platform.machine(), "torch": torch.__version__,
    }  # fmt: skip
    for name, reasoning in (("answer", False), ("answer and reasoning", True)):
        for way in ways:
            edit(vlm, way, 0, reasoning, 3)  # what is done once is not measured
        times: dict[str, list[float]] = {way: [] for way in ways}
        apart = 0.0
        for index in range(given.edits):
            weights: dict[str, list[Tensor]] = {}
            for way in ways:
                seconds, weights[way] = edit(vlm, way, index, reasoning, given.steps)
                times[way].append(seconds)
            pairs = zip(weights["block"], weights["full"], strict=True)
            apart = max(apart, *(float((one - two).abs().max()) for one, two in pairs))
        middle = {way: statistics.median(seconds) for way, seconds in times.items()}
        out[name] = {
            "ms_per_step": {way: round(1000 * value / given.steps, 3) for way, value in middle.items()},
            "times_as_fast_as": {way: round(middle[way] / middle["block"], 1) for way in ways[1:]},
            "largest_difference_of_a_weight": apart,
        }
    print(json.dumps(out, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
