"""Likelihoods of answers: scores, yes or no, training loss, and greedy generation.

All of it is generic: a family only says what a prompt looks like as input of its language model.
Sums over an answer's tokens equal those of plain full forward passes (up to rounding; tested to 1e-4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rv_edit.errors import ConfigError
from rv_edit.vlm.batching import fitting, plan
from rv_edit.vlm.decoding import Context, read, run, text_batch
from rv_edit.vlm.sequences import Batch

if TYPE_CHECKING:
    from rv_edit.vlm.base import VLM
    from rv_edit.vlm.features import ImageFeatures
    from rv_edit.vlm.prompts import Prompt, Target

NORMALIZE = ("sum", "mean", "first_token")


@dataclass(frozen=True)
class Scores:
    """Of one prompt: a log-probability (natural log) and a number of tokens per candidate, in their order."""

    logp: tuple[float, ...]
    n_tokens: tuple[int, ...]


def check_rows(feats: ImageFeatures, prompts: Sequence[Prompt]) -> None:
    """One feature row a prompt, or a clear error."""
    if len(feats) != len(prompts):
        raise ValueError(f"{len(feats)} pictures for {len(prompts)} prompts; one row a prompt: feats.pick([0, 0, …])")


@torch.no_grad()
def score(
    vlm: VLM,
    feats: ImageFeatures,
    prompts: Sequence[Prompt],
    candidates: Sequence[Sequence[str]],
    normalize: str = "sum",
    batch_size: int = 16,
    share_images: bool = True,
) -> list[Scores]:
    """Log-probability of each candidate answer after its prompt; see :meth:`rv_edit.vlm.VLM.score`."""
    check_rows(feats, prompts)
    if normalize not in NORMALIZE:
        raise ConfigError(f"scoring.normalize: {normalize!r} is unknown; use {', '.join(NORMALIZE)}")
    if len(candidates) != len(prompts):
        raise ValueError(f"{len(candidates)} lists of candidates for {len(prompts)} prompts")
    answers: list[list[tuple[int, ...]]] = []
    for prompt, texts in zip(prompts, candidates, strict=True):
        if isinstance(texts, str) or not texts:
            raise ValueError(f"candidates of {prompt.question[:60]!r}: a non-empty list of answers, not {texts!r}")
        answers.append([tuple(vlm.prompts.answer_ids(text)) for text in texts])
    results: list[Scores | None] = [None] * len(prompts)
    for items in plan(vlm, feats, prompts, batch_size):
        longer = [(row, ids) for row, item in enumerate(items) for ids in dict.fromkeys(answers[item]) if len(ids) > 1]
        if normalize == "first_token":
            longer = []
        last, context = read(vlm, feats, prompts, items, share=share_images, keep=bool(longer))
        logits = vlm.head(last)
        total = logits.logsumexp(dim=-1)
        rest: dict[tuple[int, tuple[int, ...]], float] = {}
        if context is not None:
            for row, ids in longer:
                vlm.prompts.check_length(context.next_pos[row] + len(ids) - 1, prompts[items[row]], "prompt and answer")
            rest = _continue(vlm, context, longer, items, batch_size)
        for row, item in enumerate(items):
            first = (logits[row, [ids[0] for ids in answers[item]]] - total[row]).tolist()
            logp = [value + rest.get((row, ids), 0.0) for value, ids in zip(first, answers[item], strict=True)]
            lengths = tuple(len(ids) for ids in answers[item])
            if normalize == "mean":
                logp = [value / length for value, length in zip(logp, lengths, strict=True)]
            results[item] = Scores(tuple(logp), lengths)
        del last, context  # keys and values of this batch, before those of the next are made
    return [result for result in results if result is not None]


def _continue(
    vlm: VLM, context: Context, jobs: Sequence[tuple[int, tuple[int, ...]]], items: Sequence[int], batch_size: int
) -> dict[tuple[int, tuple[int, ...]], float]:
    """Log-probability of everything after the first token, for answers ``(row of the context, ids)``."""
    out: dict[tuple[int, tuple[int, ...]], float] = {}
    jobs = sorted(jobs, key=lambda job: (len(job[1]), job[0]))
    widths = [context.mask.shape[1] + len(ids) - 1 for _, ids in jobs]
    for places in fitting(widths, batch_size, vlm.batch_tokens):
        part = [jobs[place] for place in places]
        past = context.select([row for row, _ in part])
        batch = text_batch(vlm, [ids[:-1] for _, ids in part], past)
        hidden = run(vlm, batch, "continue", [items[row] for row, _ in part], past=past)[0]
        logp = token_logp(vlm, hidden[batch.mask.to(hidden.device)], [token for _, ids in part for token in ids[1:]])
        sums = [piece.sum() for piece in logp.split([len(ids) - 1 for _, ids in part])]
        out.update(zip(part, torch.stack(sums).tolist(), strict=True))
        del past, hidden  # as above
    return out


def token_logp(vlm: VLM, hidden: Tensor, ids: Sequence[int]) -> Tensor:
    """(R,) fp32 log-probability of token ``ids[r]`` after hidden state ``hidden[r]`` (R, d)."""
    logits = vlm.head(hidden)
    target = torch.as_tensor(list(ids), device=logits.device)
    return logits.gather(1, target[:, None])[:, 0] - logits.logsumexp(dim=-1)


@torch.no_grad()
def next_token_logp(
    vlm: VLM, feats: ImageFeatures, prompts: Sequence[Prompt], columns: Sequence[int] | None, batch_size: int
) -> Tensor:
    """(B, V) fp32 log-probabilities of the next token, or (B, len(columns)) of some."""
    check_rows(feats, prompts)
    out: dict[int, Tensor] = {}
    for items in plan(vlm, feats, prompts, batch_size):
        last, _ = read(vlm, feats, prompts, items, share=True, keep=False)
        logp = vlm.head(last).log_softmax(dim=-1)
        logp = logp if columns is None else logp[:, list(columns)]
        out.update(zip(items, logp, strict=True))
    width = vlm.vocab_size if columns is None else len(columns)
    return torch.stack([out[item] for item in range(len(prompts))]) if out else torch.zeros(0, width)


@dataclass(frozen=True, eq=False)
class Forced:
    """Prompts with their targets as one pass reads them (teacher forcing).

    Attributes:
        batch: B rows, padded on the right; a target's last token is predicted, never read.
        prompt_mask: (B, L) bool, the prompts' positions.
        predicting: (B, L) bool, the positions whose next token is one of a target's.
        tokens: the targets' token ids, R in all, in the order of ``predicting``.
        lengths: tokens of each target.
    """

    batch: Batch
    prompt_mask: Tensor
    predicting: Tensor
    tokens: tuple[int, ...]
    lengths: tuple[int, ...]


def forced(vlm: VLM, feats: ImageFeatures, prompts: Sequence[Prompt], targets: Sequence[Target]) -> Forced:
    """Put each target behind its prompt, over its picture.

    Raises:
        PromptTooLongError: more tokens than the model has positions for.
    """
    check_rows(feats, prompts)
    if len(targets) != len(prompts):
        raise ValueError(f"{len(targets)} targets for {len(prompts)} prompts")
    rows = vlm.prefix(feats, prompts)
    ids = [vlm.prompts.target_ids(target) for target in targets]
    for row, answer, prompt in zip(rows, ids, prompts, strict=True):
        vlm.prompts.check_length(len(row) + len(answer) - 1, prompt, "prompt and target")
    full = [row.append(answer[:-1], vlm.embed_tokens(answer[:-1])) for row, answer in zip(rows, ids, strict=True)]
    batch = Batch.of(full, "right")
    steps = torch.arange(batch.mask.shape[1], device=batch.mask.device)
    starts = torch.tensor([len(row) for row in rows], device=batch.mask.device)[:, None]
    tokens = tuple(token for answer in ids for token in answer)
    lengths = tuple(len(answer) for answer in ids)
    return Forced(batch, steps < starts, batch.mask & (steps >= starts - 1), tokens, lengths)


def nll(vlm: VLM, feats: ImageFeatures, prompts: Sequence[Prompt], targets: Sequence[Target]) -> Tensor:
    """(B,) summed −log p of each target, one pass, with gradients; see :meth:`rv_edit.vlm.VLM.nll`."""
    if not len(prompts) and not len(feats):
        return torch.zeros(0, device=vlm.device)
    put = forced(vlm, feats, prompts, targets)
    hidden, _ = run(vlm, put.batch, "train", range(len(prompts)), prompt_mask=put.prompt_mask)
    logp = token_logp(vlm, hidden[put.predicting.to(hidden.device)], put.tokens)
    return torch.stack([-piece.sum() for piece in logp.split(list(put.lengths))])


class Generated(str):
    """A generated text.

    Attributes:
        ended: whether the model ended it; else the most tokens that it was allowed did.
    """

    ended: bool

    @classmethod
    def of(cls, text: str, ended: bool) -> Generated:
        """``text``, and how it came to its end."""
        made = cls(text)
        made.ended = ended
        return made


@torch.no_grad()
def generate(
    vlm: VLM, feats: ImageFeatures, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int
) -> list[Generated]:
    """Greedy continuations, new text only; see :meth:`rv_edit.vlm.VLM.generate`."""
    check_rows(feats, prompts)
    texts: dict[int, Generated] = {}
    for items in plan(vlm, feats, prompts, batch_size):
        last, context = read(vlm, feats, prompts, items, share=True, keep=True)
        new: list[list[int]] = [[] for _ in items]
        alive = list(range(len(items)))
        for step in range(max_new_tokens):
            tokens = vlm.head(last).argmax(dim=-1).tolist()
            going = [row for row, token in enumerate(tokens) if token not in vlm.eos_ids]
            for row in going:
                new[alive[row]].append(tokens[row])
            alive = [alive[row] for row in going]
            if not alive or context is None or step == max_new_tokens - 1:
                break
            past = context.select(going)
            batch = text_batch(vlm, [[tokens[row]] for row in going], past)
            hidden, cache = run(vlm, batch, "continue", [items[row] for row in alive], past=past)
            context = Context(
                cache, torch.cat([past.mask, batch.mask], dim=1), tuple(start + 1 for start in past.next_pos)
            )
            last = hidden[:, -1]
        for row, (item, ids) in enumerate(zip(items, new, strict=True)):
            text = vlm.tokenizer.decode(ids, skip_special_tokens=True).strip()
            texts[item] = Generated.of(text, row not in alive)
    return [texts[item] for item in range(len(prompts))]
