"""MEND and MEND-COT (paper D.3): a trained network turns an edit's gradient into a change of weights, in one step."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rv_edit.editors import last_block
from rv_edit.editors.answering import Asking
from rv_edit.editors.descent import DivergedError
from rv_edit.editors.last_block import Trace
from rv_edit.editors.mend_block import DeltaBlock
from rv_edit.editors.mend_data import trained
from rv_edit.editors.mend_network import Transforms
from rv_edit.editors.mend_training import MetaTraining, NetworkOptions
from rv_edit.editors.option_kinds import check_kinds
from rv_edit.editors.weights import WeightEditor, check_target
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.editors.base import EditorContext
    from rv_edit.vlm import VLM


class Mend(WeightEditor):
    """Adds to the linear layers of the final MLP block what trained transforms make of an edit's gradient.

    An edit's gradient is taken at the weights that the edits before it left.

    Args:
        vlm: the frozen model.
        transforms: trained for this model and target.
        target: ``{answer}``, or for the -COT form the answer followed by ``{reasoning}``.
        asking: how questions are scored and batched.
    """

    def __init__(
        self, vlm: VLM, transforms: Transforms, *, target: str = "{answer}", asking: Asking | None = None
    ) -> None:
        self.deltas = DeltaBlock(vlm)
        if transforms.shapes != self.deltas.shapes:
            raise ConfigError(f"MEND: transforms for {transforms.shapes}, but the block has {self.deltas.shapes}")
        self.transforms = transforms.to(vlm.device).requires_grad_(False).eval()
        about = {"transforms": _fingerprint(transforms)}
        super().__init__(vlm, self.deltas.module, self.deltas.deltas, asking=asking, target=target, about=about)

    @classmethod
    def from_context(cls, context: EditorContext, **options: Any) -> Mend:
        """Build for a run; ``options`` are those of ``conf/editor/mend.yaml``. Trains the transforms once.

        Raises:
            ConfigError: an option unknown or out of range, or nothing to train on.
        """
        check_kinds("editor", options, _options)
        given = _options(**options)
        check_kinds("editor.network", given["network"], NetworkOptions)
        check_kinds("editor.training", given["training"], MetaTraining)
        check_target(given["target"])
        folder = None if given["cache"] is None else Path(given["cache"]).expanduser() / "mend"
        network, training = NetworkOptions(**given["network"]), MetaTraining(**given["training"])
        transforms = trained(context, network, training, given["target"], folder)
        return cls(context.vlm, transforms, target=given["target"], asking=context.asking)

    def update(self, trace: Trace) -> str:
        """One step along the transformed gradient."""
        before = float(last_block.loss(self.vlm, self.block, trace).detach())
        with torch.no_grad():
            for name, change in self.transforms.update(self.deltas.factors(trace)).items():
                self.deltas.deltas[name] += change
            after = float(last_block.loss(self.vlm, self.block, trace))
        if not math.isfinite(after):
            raise DivergedError(f"the loss is {after} after the step")
        return f"loss {before:.3g} to {after:.3g}"


def _options(
    network: Mapping[str, Any], training: Mapping[str, Any], target: str = "{answer}", cache: str | None = None
) -> dict[str, Any]:
    """The options of a file in ``conf/editor``; ``cache`` is where trained transforms are kept, ``None`` nowhere."""
    return {"network": network, "training": training, "target": target, "cache": cache}


def _fingerprint(transforms: Transforms) -> str:
    """Hash of all that decides what the transforms do."""
    digest = hashlib.sha256()
    for name, tensor in sorted(transforms.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
