"""The alternative: ``transformers`` as its documentation shows it, a call a question and an answer, nothing shared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from data_modules.records import Box
from rv_edit.evidence import cut, grid_patches
from rv_edit.vlm import VLM
from rv_edit.vlm.prompts import Prompt


@torch.no_grad()
def logits(vlm: VLM, image: Any, prompt: Prompt, answer: Sequence[int] = ()) -> Tensor:
    """(T, V) fp32 of one full forward: the stock processor's inputs of picture and prompt, and the answer's tokens."""
    inputs = dict(vlm.processor(images=image, text=str(prompt), return_tensors="pt"))
    tail = torch.tensor([list(answer)], dtype=torch.long)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], tail], dim=1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if "mm_token_type_ids" in inputs:
        inputs["mm_token_type_ids"] = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(tail)], dim=1)
    output: Tensor = vlm.model(**inputs, use_cache=False).logits[0]
    return output.float()


def answer_logp(vlm: VLM, image: Any, prompt: Prompt, text: str) -> tuple[float, int]:
    """Summed log-probability of an answer, and its number of tokens: one full forward."""
    ids = vlm.prompts.answer_ids(text)
    steps = logits(vlm, image, prompt, ids)[-len(ids) - 1 : -1].log_softmax(dim=-1)
    return float(steps.gather(1, torch.tensor(ids)[:, None]).sum()), len(ids)


def choice_scores(vlm: VLM, image: Any, prompt: Prompt, choices: Sequence[str]) -> list[float]:
    """A full forward a choice."""
    return [answer_logp(vlm, image, prompt, choice)[0] for choice in choices]


def evidence(vlm: VLM, image: Any, facts: Sequence[str], threshold: float, prompts: tuple[str, str]) -> list[list[Box]]:
    """Crops that show each fact: the paper's three steps, patch by patch, fact by fact (paper C, Patchification).

    ``prompts``: what asks whether a patch shows ``{fact}``, and what asks for a description.
    """
    patches = grid_patches(*image.size)
    chosen = []
    for fact in facts:
        phrase = " ".join(fact.split()).rstrip(".!? ") or fact
        relevance: dict[int, float] = {}
        for row, patch in enumerate(patches):
            part = cut(image, patch.box)
            last = logits(vlm, part, vlm.format_prompt(prompts[0].replace("{fact}", phrase)))[-1].double()
            yes, no = (last[vlm.prompts.answer_ids(word)[0]] for word in vlm.prompts.style.yes_no)
            if float(torch.sigmoid(yes - no)) > threshold:
                total, count = answer_logp(vlm, part, vlm.format_prompt(prompts[1]), fact)
                relevance[row] = total / count
        if not relevance:
            chosen.append([])
            continue
        best = max(relevance, key=relevance.__getitem__)
        least = min(patches[row].cells for row in relevance)
        local = max((row for row in relevance if patches[row].cells == least), key=relevance.__getitem__)
        chosen.append(list(dict.fromkeys((patches[best].box, patches[local].box))))
    return chosen
