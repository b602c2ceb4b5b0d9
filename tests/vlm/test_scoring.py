"""Contract of every family: scores, whatever is shared, batched or cached, equal plain full forwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from types import ModuleType

import pytest
import torch
from PIL import Image

from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM, HookContext, PromptTooLongError

TOL = 1e-4
QUESTIONS = [
    "What colour is the cat?",
    "What colour is the small striped thing near the lamp on the sand?",
    "Describe this image.",
    "What is it?",
]
CANDIDATES = [
    ["red", "a small blue dog on the mat", "Yes"],
    ["yes", "no"],
    ["a cat", "two cats near the lamp", "sand", "a cat"],
    ["the answer to the question is a dog", "green"],
]


@contextmanager
def positions(vlm: VLM) -> Iterator[list[tuple[int, int]]]:
    """(rows, columns) of every pass of the language model."""
    seen: list[tuple[int, int]] = []
    handle = vlm.lm_layers()[0].register_forward_hook(lambda _m, inputs, _o: seen.append(tuple(inputs[0].shape[:2])))
    yield seen
    handle.remove()


def test_scores_equal_naive_forwards(vlm: VLM, images: list[Image.Image], naive: object) -> None:
    """Ragged multi-token candidates, different prompts and pictures in one batch."""
    feats = vlm.encode_images(images)
    prompts = [vlm.format_prompt(question, ("The mat is blue.",) * index) for index, question in enumerate(QUESTIONS)]
    for normalize in ("sum", "mean", "first_token"):
        scores = vlm.score(feats, prompts, CANDIDATES, normalize=normalize)
        for image, prompt, texts, got in zip(images, prompts, CANDIDATES, scores, strict=True):
            for text, logp, count in zip(texts, got.logp, got.n_tokens, strict=True):
                tokens = naive(image, prompt, text)  # type: ignore[operator]
                want = {"sum": tokens.sum(), "mean": tokens.mean(), "first_token": tokens[0]}[normalize]
                assert logp == pytest.approx(want.item(), abs=TOL)
                assert count == len(tokens)
    assert max(scores[0].n_tokens) > 2  # the test is about more than one token


def test_shared_beginnings_change_nothing_and_save_work(vlm: VLM, images: list[Image.Image], naive: object) -> None:
    """Prompts over one picture, mixed with a picture asked about once, in one batch or several."""
    rows = [0, 1, 0, 0, 1, 2]  # the first and the fourth prompt are one
    feats = vlm.encode_images(images).pick(rows)
    questions = [QUESTIONS[0], QUESTIONS[1], QUESTIONS[1], QUESTIONS[0], QUESTIONS[2], QUESTIONS[3]]
    prompts = [vlm.format_prompt(question) for question in questions]
    candidates = [CANDIDATES[index % 4] for index in range(6)]
    with positions(vlm) as shared:
        together = vlm.score(feats, prompts, candidates)
    with positions(vlm) as fresh:
        apart = vlm.score(feats, prompts, candidates, share_images=False)
    small = vlm.score(feats, prompts, candidates, batch_size=2)
    for index, (a, b, c) in enumerate(zip(together, apart, small, strict=True)):
        assert a.logp == pytest.approx(b.logp, abs=TOL)
        assert a.logp == pytest.approx(c.logp, abs=TOL)
        want = naive(images[rows[index]], prompts[index], candidates[index][1]).sum().item()  # type: ignore[operator]
        assert a.logp[1] == pytest.approx(want, abs=TOL)
    # Six prompts, three pictures: the beginnings are read in three rows, not six. Where the picture's tokens depend on
    # the prompt, only the prompt that is asked twice has a beginning to share.
    assert shared[0][0] == (5 if vlm.merger_reads_text else 3)
    assert fresh[0][0] == 6
    work = [rows * columns for rows, columns in shared]
    assert work[0] + work[1] < (1.0 if vlm.merger_reads_text else 0.8) * fresh[0][0] * fresh[0][1]


def test_one_prompt_asked_twice_over_one_picture(vlm: VLM, images: list[Image.Image], naive: object) -> None:
    """Everything is shared but the last token, whose hidden state the answers are scored with."""
    feats = vlm.encode_images(images[:1]).pick([0, 0])
    prompt = vlm.format_prompt(QUESTIONS[0])
    with positions(vlm) as passes:
        scores = vlm.score(feats, [prompt, prompt], [["red", "a cat"], ["a small dog"]])
    assert passes[1] == (2, 1)
    for texts, score in zip((["red", "a cat"], ["a small dog"]), scores, strict=True):
        want = [naive(images[0], prompt, text).sum().item() for text in texts]  # type: ignore[operator]
        assert score.logp == pytest.approx(want, abs=TOL)


def test_batched_equals_single_and_order_is_irrelevant(vlm: VLM, images: list[Image.Image]) -> None:
    """Also with duplicate candidates, which get equal scores."""
    feats = vlm.encode_images(images)
    prompts = [vlm.format_prompt(question) for question in QUESTIONS]
    batched = vlm.score(feats, prompts, CANDIDATES)
    for index, want in enumerate(batched):
        single = vlm.score(feats.pick([index]), [prompts[index]], [CANDIDATES[index]])[0]
        assert single.logp == pytest.approx(want.logp, abs=TOL)
        turned = vlm.score(feats.pick([index]), [prompts[index]], [CANDIDATES[index][::-1]])[0]
        assert turned.logp[::-1] == pytest.approx(want.logp, abs=TOL)
    assert batched[2].logp[0] == batched[2].logp[3]
    backwards = vlm.score(feats.pick([3, 2, 1, 0]), prompts[::-1], CANDIDATES[::-1])
    for a, b in zip(backwards[::-1], batched, strict=True):
        assert a.logp == pytest.approx(b.logp, abs=TOL)


def test_score_shared(vlm: VLM, images: list[Image.Image], naive: object) -> None:
    """Pairs over one picture: facts under one prompt, yes and no under many."""
    feats = vlm.encode_images(images[1:2])
    describe = vlm.format_prompt("Describe this image.")
    pairs = [(describe, text) for text in ("The cat is red.", "A small dog.", "lamp", "The cat is red.")]
    pairs += [(vlm.format_prompt(f"Does the image show {thing}?"), "Yes") for thing in ("a cat", "the small blue mat")]
    values, lengths = vlm.score_shared(feats, pairs)
    assert values.shape == lengths.shape == (6,)
    for (prompt, text), value, length in zip(pairs, values.tolist(), lengths.tolist(), strict=True):
        tokens = naive(images[1], prompt, text)  # type: ignore[operator]
        assert value == pytest.approx(tokens.sum().item(), abs=TOL)
        assert length == len(tokens)
    with pytest.raises(ValueError, match="one picture"):
        vlm.score_shared(feats.pick([0, 0]), pairs)


def test_yes_no_and_next_token(vlm: VLM, images: list[Image.Image], naive: object) -> None:
    """Columns of the next-token distribution, at the tokens of yes and no."""
    feats = vlm.encode_images(images)
    prompts = [vlm.format_prompt(f"Does the image show {thing}?") for thing in ("a cat", "a dog", "a lamp", "sand")]
    table, pair = vlm.next_token_logp(feats, prompts, batch_size=3), vlm.yes_no(feats, prompts)
    assert table.shape == (4, vlm.vocab_size)
    assert pair.shape == (4, 2)
    assert pair.dtype == torch.float32
    assert torch.allclose(table.exp().sum(dim=1), torch.ones(4), atol=1e-4)
    assert torch.allclose(pair, table[:, list(vlm.prompts.yes_no_ids)], atol=TOL)
    yes, no = vlm.prompts.style.yes_no
    for index, prompt in enumerate(prompts):
        assert pair[index, 0].item() == pytest.approx(naive(images[index], prompt, yes)[0].item(), abs=TOL)  # type: ignore[operator]
        assert pair[index, 1].item() == pytest.approx(naive(images[index], prompt, no)[0].item(), abs=TOL)  # type: ignore[operator]


def test_nll(vlm: VLM, images: list[Image.Image], naive: object) -> None:
    """Values equal the naive ones; gradients reach the final MLP and equal finite differences."""
    feats = vlm.encode_images(images[:2])
    prompts = [vlm.format_prompt(question) for question in QUESTIONS[:2]]
    targets = ["a small blue dog", "red"]
    assert not vlm.nll(feats, prompts, targets).requires_grad  # loaded frozen
    weight = next(vlm.final_mlp().parameters()).requires_grad_(True)
    try:
        loss = vlm.nll(feats, prompts, targets)
        for index in range(2):
            want = -naive(images[index], prompts[index], targets[index]).sum().item()  # type: ignore[operator]
            assert loss[index].item() == pytest.approx(want, abs=TOL)
        (grad,) = torch.autograd.grad(loss.sum(), weight)
        step = 1e-2 * grad / grad.norm()
        with torch.no_grad():
            weight.add_(step)
            up = vlm.nll(feats, prompts, targets).sum().item()
            weight.sub_(2 * step)
            down = vlm.nll(feats, prompts, targets).sum().item()
            weight.add_(step)
        assert (up - down) / 2e-2 == pytest.approx(grad.norm().item(), rel=0.02)
    finally:
        weight.requires_grad_(False)


def test_generate_returns_new_text_only(vlm: VLM, images: list[Image.Image], naive: object) -> None:
    """Greedy: each token is the arg-max; batched equals single; the prompt is not repeated."""
    feats = vlm.encode_images(images)
    prompts = [vlm.format_prompt(question) for question in QUESTIONS]
    texts = vlm.generate(feats, prompts, max_new_tokens=6)
    assert texts == [vlm.generate(feats.pick([i]), [p], max_new_tokens=6)[0] for i, p in enumerate(prompts)]
    assert not any(question in text for question, text in zip(QUESTIONS, texts, strict=True))
    best = vlm.next_token_logp(feats, prompts).argmax(dim=1).tolist()
    once = vlm.generate(feats, prompts, max_new_tokens=1)
    assert once == [vlm.tokenizer.decode([token], skip_special_tokens=True).strip() for token in best]


def test_generation_is_greedy_token_by_token(
    vlm: VLM, tiny: ModuleType, images: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By plain forwards over all that was written so far; rows of one batch end at different lengths."""
    feats = vlm.encode_images(images)
    prompts = [vlm.format_prompt(question) for question in QUESTIONS]
    picture = vlm.model.config.image_token_id  # a stock model that writes it takes it for another picture
    written: list[list[int]] = []
    steps = 6
    for image, prompt in zip(images, prompts, strict=True):
        ids: list[int] = []
        while len(ids) < steps and picture not in ids:
            best = tiny.naive_logits(vlm, image, prompt, ids)[-1].topk(2)
            if best.values[0] - best.values[1] < TOL:
                steps = len(ids)  # from here on rounding decides
                break
            ids.append(int(best.indices[0]))
        written.append(ids)
    for ends in (picture, *(ids[1] for ids in written if len(ids) > 1), *(ids[2] for ids in written if len(ids) > 2)):
        monkeypatch.setattr(type(vlm), "eos_ids", frozenset([ends, picture]))
        kept = [list(takewhile(lambda token, ends=ends: token not in (ends, picture), ids)) for ids in written]  # type: ignore[misc]
        want = [vlm.tokenizer.decode(ids[:steps], skip_special_tokens=True).strip() for ids in kept]
        assert vlm.generate(feats, prompts, max_new_tokens=steps) == want


def test_generate_stops_at_the_end_token(vlm: VLM, images: list[Image.Image], monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that has ended gets no more text while another goes on."""
    feats = vlm.encode_images(images[:2])
    prompts = [vlm.format_prompt(question) for question in QUESTIONS[:2]]
    first = vlm.next_token_logp(feats, prompts).argmax(dim=1).tolist()
    assert first[0] != first[1]
    going = vlm.generate(feats, prompts, max_new_tokens=1)[1]
    monkeypatch.setattr(type(vlm), "eos_ids", frozenset([first[0]]))
    texts = vlm.generate(feats, prompts, max_new_tokens=1)
    assert texts == ["", going] and [text.ended for text in texts] == [True, False]
    monkeypatch.undo()
    monkeypatch.setattr(vlm.model.generation_config, "eos_token_id", first)  # a checkpoint may name several
    assert vlm.eos_ids == set(first)
    assert vlm.generate(feats, prompts, max_new_tokens=3) == ["", ""]


def test_another_picture_in_between_changes_nothing(vlm: VLM, images: list[Image.Image]) -> None:
    """No state of one call reaches the next: bit-equal."""
    feats = vlm.encode_images(images[:1])
    prompt = vlm.format_prompt(QUESTIONS[0])
    before = vlm.score(feats, [prompt], [CANDIDATES[0]])
    other = vlm.encode_images(images[2:3], pool_layers=[0])
    vlm.score(other, [vlm.format_prompt(QUESTIONS[1])], [CANDIDATES[1]])
    vlm.generate(other, [prompt])
    assert vlm.score(feats, [prompt], [CANDIDATES[0]]) == before


def test_pictures_of_one_size_are_told_apart(vlm: VLM, naive: object) -> None:
    """Nothing but its place in the batch says which features are a picture's, where all have one shape."""
    pictures = [Image.effect_noise((64, 40), spread).convert("RGB") for spread in (20, 60, 120)]
    prompt = vlm.format_prompt(QUESTIONS[0])
    scores = vlm.score(vlm.encode_images(pictures), [prompt] * 3, [CANDIDATES[0]] * 3)
    for picture, score in zip(pictures, scores, strict=True):
        want = [naive(picture, prompt, text).sum().item() for text in CANDIDATES[0]]  # type: ignore[operator]
        assert score.logp == pytest.approx(want, abs=TOL)


def test_the_picture_matters(vlm: VLM, images: list[Image.Image]) -> None:
    """A blind model would pass every other test."""
    feats = vlm.encode_images(images[:2])
    prompt = vlm.format_prompt(QUESTIONS[0])
    a, b = vlm.score(feats, [prompt, prompt], [["red"], ["red"]])
    assert abs(a.logp[0] - b.logp[0]) > 1e-3


def test_hooks_see_their_context_and_leave_no_trace(vlm: VLM, images: list[Image.Image]) -> None:
    """A hook knows phase, prompt and item of what it changes; removed, scores are bit-equal."""
    feats = vlm.encode_images(images).pick([0, 0, 1])
    prompts = [vlm.format_prompt(QUESTIONS[index]) for index in (0, 0, 2)]
    before = vlm.score(feats, prompts, CANDIDATES[:3])
    seen: list[HookContext] = []

    def hook(_module: object, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        assert vlm.hook_context is not None
        seen.append(vlm.hook_context)
        assert output.shape[:2] == vlm.hook_context.mask.shape == vlm.hook_context.prompt_mask.shape
        return output + 0.5

    handle = vlm.final_mlp().register_forward_hook(hook)
    changed = vlm.score(feats, prompts, CANDIDATES[:3])
    vlm.nll(feats, prompts, ["a cat"] * 3)
    handle.remove()
    assert [context.phase for context in seen] == ["shared", "prefill", "continue", "train"]
    shared, prefill, going, train = seen
    assert len(shared.row_to_item) == 2
    assert sorted(prefill.row_to_item) == [0, 1, 2]
    assert bool(prefill.prompt_mask[:, -1].all())
    assert not going.prompt_mask.any()
    assert [shared.row_to_item[row] for row in prefill.row_to_shared] == [
        {0: 0, 1: 0, 2: 2}[item] for item in prefill.row_to_item
    ]
    assert shared.row_to_shared == going.row_to_shared == train.row_to_shared == ()
    longer = [[text for text in dict.fromkeys(texts) if len(vlm.prompts.answer_ids(text)) > 1] for texts in CANDIDATES]
    assert sorted(going.row_to_item) == [item for item in range(3) for _ in longer[item]]
    assert torch.equal(
        (train.mask & ~train.prompt_mask).sum(dim=1), torch.full((3,), len(vlm.prompts.answer_ids("a cat")) - 1)
    )
    assert changed != before
    assert vlm.hook_context is None
    assert vlm.score(feats, prompts, CANDIDATES[:3]) == before


def test_nothing_to_do(vlm: VLM) -> None:
    """Empty lists are fine everywhere."""
    feats = vlm.encode_images([])
    assert vlm.score(feats, [], []) == []
    assert vlm.generate(feats, []) == []
    assert vlm.yes_no(feats, []).shape == (0, 2)
    assert vlm.nll(feats, [], []).shape == (0,)
    assert vlm.next_token_logp(feats, []).shape == (0, vlm.vocab_size)


def test_bad_input_is_named(vlm: VLM, images: list[Image.Image]) -> None:
    """One line each."""
    feats = vlm.encode_images(images[:1])
    prompt = vlm.format_prompt("What is it?")
    with pytest.raises(ValueError, match="1 pictures for 2 prompts"):
        vlm.score(feats, [prompt, prompt], [["a"], ["a"]])
    with pytest.raises(ValueError, match="non-empty list"):
        vlm.score(feats, [prompt], [[]])
    with pytest.raises(ValueError, match="non-empty list"):
        vlm.score(feats, [prompt], ["red"])
    with pytest.raises(ValueError, match="is empty"):
        vlm.score(feats, [prompt], [["red", ""]])
    with pytest.raises(ConfigError, match=r"first_token"):
        vlm.score(feats, [prompt], [["red"]], normalize="median")
    with pytest.raises(ConfigError, match="batch_size"):
        vlm.score(feats, [prompt], [["red"]], batch_size=0)
    with pytest.raises(TypeError, match="format_prompt"):
        vlm.score(feats, ["What is it?"], [["red"]])  # type: ignore[list-item]
    with pytest.raises(PromptTooLongError, match=r"tokens, but the model takes"):
        vlm.score(feats, [vlm.format_prompt("cat " * 5000)], [["red"]])
    with pytest.raises(PromptTooLongError, match=r"prompt and answer of .* tokens, but the model takes"):
        vlm.score(feats, [vlm.format_prompt("What is it?")], [["red", "cat " * 5000]])
    with pytest.raises(PromptTooLongError, match=r"prompt and target of .* tokens, but the model takes"):
        vlm.nll(feats, [prompt], ["cat " * 5000])


def test_every_position_may_be_used(vlm: VLM, images: list[Image.Image], monkeypatch: pytest.MonkeyPatch) -> None:
    """As many tokens as the model has positions are read, picture and answer included, and not one more."""
    feats = vlm.encode_images(images[:1])
    prompt, answer = vlm.format_prompt("What is it?"), "a small blue dog on the mat"
    (row,) = vlm.prefix(feats, [prompt])
    last = len(vlm.prompts.answer_ids(answer)) - 1  # the last token is predicted, never read
    assert last > 0
    for least, ask in (
        (len(row), lambda: vlm.yes_no(feats, [prompt])),
        (max(len(row), row.next_pos + last), lambda: vlm.score(feats, [prompt], [[answer]])),
        (len(row) + last, lambda: vlm.nll(feats, [prompt], [answer])),
    ):
        monkeypatch.setattr(vlm.prompts, "max_tokens", least)
        ask()
        monkeypatch.setattr(vlm.prompts, "max_tokens", least - 1)
        with pytest.raises(PromptTooLongError):
            ask()
