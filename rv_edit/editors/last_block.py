"""Training the final MLP block of the language model (paper D.3) at the cost of that block alone.

The block is the last thing in the language model that mixes anything: behind it come a sum, a norm and the head, each
position by itself. Everything before it stays frozen, so it is computed once per edit and kept as a :class:`Trace`; a
training step then runs the block, the norm and the head on the positions that predict a target's tokens, and nothing
else. A trace is also all that is needed to make an edit once more, without its picture.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rv_edit.errors import ConfigError
from rv_edit.vlm.decoding import run
from rv_edit.vlm.scoring import forced

if TYPE_CHECKING:
    from rv_edit.vlm import VLM, ImageFeatures, Prompt, Target


ROUNDING = {True: 1e-4, False: 2e-2}
"""Relative difference between two ways to compute a loss that is still rounding, in fp32 and in half precision."""


@dataclass(frozen=True, eq=False)
class Trace:
    """What reaches the final MLP block at R positions, each of which predicts a token of a target.

    Attributes:
        inputs: (R, d), what the block reads, in the model's dtype.
        residual: (R, d), what its output is added to.
        tokens: (R,) int64, the tokens to be predicted.
    """

    inputs: Tensor
    residual: Tensor
    tokens: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of the three tensors."""
        return sum(part.numel() * part.element_size() for part in (self.inputs, self.residual, self.tokens))

    def tensors(self) -> dict[str, Tensor]:
        """By name, as they are saved."""
        return {"inputs": self.inputs, "residual": self.residual, "tokens": self.tokens}

    def to(self, device: torch.device | str) -> Trace:
        """A copy on another device."""
        return Trace(self.inputs.to(device), self.residual.to(device), self.tokens.to(device))


@torch.no_grad()
def trace(vlm: VLM, feats: ImageFeatures, prompts: Sequence[Prompt], targets: Sequence[Target]) -> list[Trace]:
    """One pass over the frozen model for each prompt with its target.

    The block's output is held at zero meanwhile, so that what the norm reads is the residual itself, to the bit.

    Raises:
        PromptTooLongError: a prompt and target of more tokens than the model has positions for.
    """
    put = forced(vlm, feats, prompts, targets)
    seen: dict[str, Tensor] = {}

    def block(_module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        seen["inputs"] = args[0]
        return torch.zeros_like(output)

    def norm(_module: nn.Module, args: tuple[Any, ...]) -> None:
        seen["residual"] = args[0]

    handles = [vlm.final_mlp().register_forward_hook(block), vlm.final_norm().register_forward_pre_hook(norm)]
    try:
        run(vlm, put.batch, "train", range(len(prompts)), prompt_mask=put.prompt_mask)
    finally:
        for handle in handles:
            handle.remove()
    inputs = seen["inputs"][put.predicting].split(list(put.lengths))
    residual = seen["residual"][put.predicting].split(list(put.lengths))
    tokens = torch.tensor(put.tokens, device=inputs[0].device).split(list(put.lengths))
    # Copies, so that a kept trace does not hold the whole batch in memory.
    return [Trace(*(part.clone() for part in parts)) for parts in zip(inputs, residual, tokens, strict=True)]


def logits(vlm: VLM, block: nn.Module, seen: Trace) -> Tensor:
    """(R, V) fp32 logits of the traced positions with ``block`` in the place of the final MLP block."""
    hidden = seen.residual[None] + block(seen.inputs[None])
    return vlm.head(vlm.final_norm()(hidden))[0]


def loss(vlm: VLM, block: nn.Module, seen: Trace) -> Tensor:
    """Mean over the target's tokens of −log p, the cross-entropy that language models are trained with."""
    return cross_entropy(logits(vlm, block, seen), seen.tokens)


def check(vlm: VLM, seen: Trace, feats: ImageFeatures, prompt: Prompt, target: Target) -> None:
    """Refuse a decoder whose last layer is not "add the block's output, then norm, then head".

    Args:
        vlm: with its own block in place.
        seen: trace of ``prompt`` and ``target``.
        feats: of the one picture.
        prompt: of the edit.
        target: of the edit.

    Raises:
        ConfigError: the loss from the trace is not that of a full pass, but for what the dtype leaves of it.
    """
    with torch.no_grad():
        fast = float(loss(vlm, vlm.final_mlp(), seen))
        full = float(vlm.nll(feats, [prompt], [target])[0]) / len(seen.tokens)
    if abs(fast - full) > ROUNDING[seen.residual.dtype == torch.float32] * max(1.0, abs(full)):
        raise ConfigError(
            f"{vlm.name}: behind its final MLP block comes more than a norm and the head (loss {fast:.4g}, "
            f"in a full pass {full:.4g}), so editors that train the block do not fit it; use another editor"
        )


@contextmanager
def in_place(vlm: VLM, block: nn.Module) -> Iterator[None]:
    """``block`` instead of the final MLP block while the context is open; the model's own is never written to."""
    layer = vlm.lm_layers()[-1]
    own = layer.mlp
    layer.mlp = block
    try:
        yield
    finally:
        layer.mlp = own


class InFloat(nn.Module):
    """A block that computes in fp32, whatever the model around it does: bfloat16 would lose small steps."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, inputs: Tensor) -> Tensor:
        """(…, d) to (…, d), in the dtype given."""
        output: Tensor = self.block(inputs.float())
        return output.to(inputs.dtype)


def twin(module: nn.Module) -> nn.Module:
    """Another module of the same parts: parameters are shared, hooks and replaced submodules are not."""
    other = copy.copy(module)
    for name, value in vars(module).items():
        if isinstance(value, (Mapping, set)):
            other.__dict__[name] = copy.copy(value)  # parameters, buffers, hooks: own tables of the same entries
    for name, child in module._modules.items():
        other._modules[name] = None if child is None else twin(child)
    return other


def linear_layers(block: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers of a block by name, in the order in which they are defined.

    Raises:
        ConfigError: there are none.
    """
    found = {name: module for name, module in block.named_modules() if isinstance(module, nn.Linear)}
    if not found:
        raise ConfigError(f"{type(block).__name__}: the final MLP block has no linear layer that could be edited")
    return found
