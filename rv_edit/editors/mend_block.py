"""The final MLP block with changes beside its weights, and the factors of their gradient; all of it by hooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rv_edit.editors import last_block
from rv_edit.editors.last_block import Trace

if TYPE_CHECKING:
    from rv_edit.editors.mend_network import Factors
    from rv_edit.vlm import VLM


class DeltaBlock:
    """A twin of the final MLP block whose linear layers give W x + ΔW x.

    Attributes:
        module: the twin; the model's own block has no hook and keeps its weights.
        deltas: ΔW by the name of the layer, (d_out, d_in) fp32, zero at first; written to in place.
    """

    def __init__(self, vlm: VLM) -> None:
        self.vlm = vlm
        self.module = last_block.twin(vlm.final_mlp())
        layers = last_block.linear_layers(self.module)
        self.deltas = {name: torch.zeros_like(layer.weight, dtype=torch.float32) for name, layer in layers.items()}
        self._added: Mapping[str, Tensor] = self.deltas
        self._seen: dict[str, tuple[Tensor, Tensor]] | None = None
        for name, layer in layers.items():
            layer.register_forward_hook(partial(self._hook, name))

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """(d_out, d_in) of each linear layer."""
        return {name: (int(delta.shape[0]), int(delta.shape[1])) for name, delta in self.deltas.items()}

    @contextmanager
    def with_further(self, further: Mapping[str, Tensor]) -> Iterator[None]:
        """Add these besides, with gradients to them, while the context is open."""
        self._added = {name: delta + further[name] for name, delta in self.deltas.items()}
        try:
            yield
        finally:
            self._added = self.deltas

    def factors(self, trace: Trace) -> Factors:
        """X and δ of each linear layer for the loss of a trace, at the weights as they are now."""
        self._seen = {}
        try:
            with torch.enable_grad():
                loss = last_block.loss(self.vlm, self.module, trace)
                # The gradient of a zero added to a layer's output is that of the output: δ.
                found = torch.autograd.grad(loss, [probe for _, probe in self._seen.values()])
            seen = self._seen
        finally:
            self._seen = None
        return {
            name: (x.detach().flatten(0, -2).float(), delta.flatten(0, -2).float())
            for (name, (x, _)), delta in zip(seen.items(), found, strict=True)
        }

    def _hook(self, name: str, _module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        output = output + linear(args[0].float(), self._added[name]).to(output.dtype)
        if self._seen is None:
            return output
        probe = torch.zeros_like(output, requires_grad=True)
        self._seen[name] = (args[0], probe)
        return output + probe
