"""What the vision side gives: image tokens for the language model and pooled hidden states per block.

The pictures of a data set are asked about many times. Their features are computed once, kept, picked and joined;
rows picked twice stay the same object, by which scoring recognises prompts about one picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from rv_edit.errors import ConfigError

POOLINGS = ("mean", "last")
"""Ways to make one vector of a block's tokens: mean over all of them (a class token included), or the last one."""

Key = TypeVar("Key")


@dataclass(frozen=True)
class LayerRef:
    """One hidden layer of a VLM.

    Attributes:
        block: ``vision``, ``merger`` (projector or Q-Former) or ``language``.
        index: Its place in the block, from 0.
        path: Full module name, as in ``named_modules``.
        dim: Width of its output.
        text_dependent: Whether the prompt reaches it; where not, one pass a picture serves every text.
    """

    block: str
    index: int
    path: str
    dim: int
    text_dependent: bool


@dataclass(frozen=True, eq=False)
class ImageRow:
    """One picture: ``tokens`` (N, d), ``extra`` of the family, ``pooled`` (dv,) per layer.

    The tokens are those the language model reads or, where the merger reads the prompt, those the merger reads.
    """

    tokens: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    pooled: Mapping[int, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> ImageRow:
        """A copy on another device."""
        return ImageRow(
            self.tokens.to(device),
            {name: value.to(device) for name, value in self.extra.items()},
            {layer: value.to(device) for layer, value in self.pooled.items()},
        )


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Features of a list of pictures, one row each."""

    rows: tuple[ImageRow, ...] = ()

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.rows)

    @property
    def pooled(self) -> dict[int, Tensor]:
        """Pooled hidden states, ``{vision layer: (B, dv) fp32}``, for the layers asked for at encoding."""
        layers = self.rows[0].pooled if self.rows else {}
        return {layer: torch.stack([row.pooled[layer] for row in self.rows]) for layer in layers}

    def pick(self, indices: Sequence[int]) -> ImageFeatures:
        """Rows by index, repeats allowed."""
        return ImageFeatures(tuple(self.rows[int(index)] for index in indices))

    def to(self, device: torch.device | str) -> ImageFeatures:
        """A copy on another device; rows that were one object stay one."""
        moved = {id(row): row.to(device) for row in self.rows}
        return ImageFeatures(tuple(moved[id(row)] for row in self.rows))

    @staticmethod
    def cat(parts: Sequence[ImageFeatures]) -> ImageFeatures:
        """Join the rows of several feature sets."""
        return ImageFeatures(tuple(row for part in parts for row in part.rows))


def first_tensor(output: Any) -> Tensor:
    """The hidden state among what a block returns: itself, or the first of a tuple (older releases)."""
    tensor = output if isinstance(output, Tensor) else output[0]
    assert isinstance(tensor, Tensor)
    return tensor


def pool_tokens(tokens: Tensor | Sequence[Tensor], how: str, mask: Tensor | None = None) -> Tensor:
    """One fp32 vector a row, from ``(B, N, d)`` (with an optional ``mask`` (B, N)) or a list of ``(N_i, d)``.

    ``last`` is the last real token, so padding on either side changes nothing.
    """
    if how not in POOLINGS:
        raise ConfigError(f"pooling {how!r} is unknown; use {' or '.join(POOLINGS)}")
    if not isinstance(tokens, Tensor):
        return torch.cat([pool_tokens(row[None], how) for row in tokens])
    if mask is None:
        return tokens[:, -1].float() if how == "last" else tokens.float().mean(dim=1)
    mask = mask.to(tokens.device)  # a model spread over devices hands its layers' outputs over where they were made
    if how == "last":
        steps = torch.arange(mask.shape[1], device=mask.device)
        last = torch.where(mask, steps, -1).amax(dim=1)
        return tokens[torch.arange(len(tokens), device=tokens.device), last].float()
    weights = mask.float().unsqueeze(-1)
    return torch.where(mask.unsqueeze(-1), tokens.float(), 0.0).sum(dim=1) / weights.sum(dim=1)


@contextmanager
def watch(modules: Mapping[Key, nn.Module], see: Callable[[Key, Tensor], None]) -> Iterator[None]:
    """Call ``see(key, hidden)`` whenever one of the modules has run, while the context is open."""

    def hook(key: Key) -> Callable[[nn.Module, Any, Any], None]:
        return lambda _module, _inputs, output: see(key, first_tensor(output))

    handles = [module.register_forward_hook(hook(key)) for key, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _EarlyExit(Exception):
    def __init__(self, hidden: Tensor) -> None:
        super().__init__("left the forward pass early")
        self.hidden = hidden


def run_until(block: nn.Module, call: Callable[[], object]) -> Tensor:
    """The hidden state after ``block``, leaving ``call`` right there: the blocks behind it never run."""

    def stop(_module: nn.Module, _inputs: Any, output: Any) -> None:
        raise _EarlyExit(first_tensor(output))

    handle = block.register_forward_hook(stop)
    try:
        call()
    except _EarlyExit as reached:
        return reached.hidden
    finally:
        handle.remove()
    raise RuntimeError("the forward pass did not reach the block it was to stop at")
