"""What a weight-changing editor remembers: the tensors that edits changed, and of each edit what it takes to repeat it.

As a module it has no parameter of its own: the live tensors belong to the edited block, which is not saved. Its state
is empty but for a header as long as nothing is edited.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rv_edit.codebook.sized_state import SizedState
from rv_edit.editors.last_block import Trace
from rv_edit.errors import ConfigError

SCHEMA = 1
"""Of the state; raised whenever its names or their meaning change."""


class WeightMemory(SizedState):
    """Edits in force and the tensors that they changed.

    Args:
        tensors: the live tensors by name; loading and restoring writes into them.
        about: what the tensors belong to (model, editor, settings); a state of another is refused.
    """

    state_called = "edited weights"
    others = True

    def __init__(self, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
        super().__init__()
        self.tensors = dict(tensors)
        self.about = dict(about)
        self.start = self.copies()
        self.traces: dict[str, Trace] = {}
        self.before_last: dict[str, Tensor] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the changed tensors and of the traces; 0 without an edit."""
        if not self.traces:
            return 0
        changed = sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())
        return changed + sum(trace.nbytes for trace in self.traces.values())

    def copies(self) -> dict[str, Tensor]:
        """The live tensors as they are now."""
        return {name: tensor.detach().clone() for name, tensor in self.tensors.items()}

    @torch.no_grad()
    def write(self, values: Mapping[str, Tensor]) -> None:
        """Give the live tensors these values."""
        for name, tensor in self.tensors.items():
            tensor.copy_(values[name])

    def finite(self) -> bool:
        """Whether every live tensor is."""
        return all(bool(torch.isfinite(tensor).all()) for tensor in self.tensors.values())

    def checksum(self) -> str:
        """SHA-256 of the edits' ids and the tensors' bytes."""
        digest = hashlib.sha256("\0".join(self.traces).encode())
        for name, tensor in (self.tensors if self.traces else {}).items():
            digest.update(name.encode() + _bytes(tensor))
        return digest.hexdigest()

    def export(self) -> dict[str, Tensor]:
        """Everything but the header, by name; copies."""
        if not self.traces:
            return {}
        out = {f"weights.{name}": tensor for name, tensor in self.copies().items()}
        for index, trace in enumerate(self.traces.values()):
            out |= {f"traces.{index}.{name}": tensor.detach().clone() for name, tensor in trace.tensors().items()}
        return out

    def header(self) -> str:
        """Schema, what the tensors belong to, and the edits' ids, as JSON."""
        return json.dumps({"schema": SCHEMA, "about": self.about, "edits": list(self.traces)}, sort_keys=True)

    def take(self, header: str, state: Mapping[str, Tensor]) -> None:
        """Replace the edits in force by what :meth:`header` and :meth:`export` gave; all of it or nothing.

        Raises:
            ConfigError: of another schema, model, editor or settings, or incomplete.
        """
        try:
            found = json.loads(header)
            edits, about, schema = list(found["edits"]), dict(found["about"]), found["schema"]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"edited weights: the header is damaged ({error})") from error
        if schema != SCHEMA:
            raise ConfigError(f"edited weights: schema {schema!r}, expected {SCHEMA}; make the edits anew")
        for name, value in self.about.items():
            if about.get(name) != value:
                raise ConfigError(f"edited weights: made with {name} {about.get(name)!r}, but this run has {value!r}")
        weights = {}
        for name, tensor in self.tensors.items():
            saved = state.get(f"weights.{name}") if edits else self.start[name]
            if saved is None or saved.shape != tensor.shape:
                raise ConfigError(f"edited weights: {name} is missing or not of shape {tuple(tensor.shape)}")
            weights[name] = saved
        parts = [{name: state.get(f"traces.{index}.{name}") for name in _FIELDS} for index in range(len(edits))]
        if any(part is None for trace in parts for part in trace.values()):
            raise ConfigError("edited weights: what is needed to repeat an edit is missing")
        device = next(iter(self.tensors.values())).device
        self.write(weights)
        traces = [Trace(**{name: part for name, part in trace.items() if part is not None}) for trace in parts]
        self.traces = {name: trace.to(device) for name, trace in zip(edits, traces, strict=True)}
        self.before_last = None

    # --- as a module -------------------------------------------------------------------------------------------

    def get_extra_state(self) -> Tensor:
        """The header as a uint8 tensor."""
        return torch.from_numpy(np.frombuffer(self.header().encode(), dtype=np.uint8).copy())

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination.update({prefix + name: tensor for name, tensor in self.export().items()})

    def take_state(self, tensors: Mapping[str, Tensor], extra: Any) -> None:
        """See :class:`~rv_edit.codebook.sized_state.SizedState`."""
        self.take(bytes(extra.cpu().numpy().tobytes()).decode("utf-8", "replace"), tensors)


_FIELDS = ("inputs", "residual", "tokens")


def _bytes(tensor: Tensor) -> bytes:
    """The content of a tensor of any dtype."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
