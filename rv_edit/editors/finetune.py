"""FT and FT-COT (paper D.3): each edit trains the final MLP block of the language model, all of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rv_edit.editors import last_block
from rv_edit.editors.answering import Asking
from rv_edit.editors.descent import Descending, descend
from rv_edit.editors.last_block import InFloat, Trace
from rv_edit.editors.option_kinds import check_kinds
from rv_edit.editors.weights import WeightEditor

if TYPE_CHECKING:
    from rv_edit.editors.base import EditorContext
    from rv_edit.vlm import VLM


class FineTune(WeightEditor):
    """Trains a copy of the final MLP block on each edit, from where the edit before it ended.

    Args:
        vlm: the frozen model.
        training: steps, learning rate, early stopping.
        target: ``{answer}``, or for the -COT form the answer followed by ``{reasoning}``.
        asking: how questions are scored and batched.
    """

    def __init__(
        self, vlm: VLM, training: Descending, *, target: str = "{answer}", asking: Asking | None = None
    ) -> None:
        block = InFloat(copy.deepcopy(vlm.final_mlp()).float())
        block.requires_grad_(True)
        self.training = training
        tensors = dict(block.block.named_parameters())
        super().__init__(vlm, block, tensors, asking=asking, target=target, about={"training": training})

    @classmethod
    def from_context(cls, context: EditorContext, **options: Any) -> FineTune:
        """Build for a run; ``options`` are those of ``conf/editor/ft.yaml``.

        Raises:
            ConfigError: an option unknown or out of range.
        """
        check_kinds("editor", options, cls.__init__)
        training: Mapping[str, Any] = options.pop("training")
        check_kinds("editor.training", training, Descending)
        return cls(context.vlm, Descending(**training), asking=context.asking, **options)

    def update(self, trace: Trace) -> str:
        """Descend on the mean −log p of the target's tokens."""
        parameters = list(self.block.parameters())
        return str(descend(parameters, lambda: last_block.loss(self.vlm, self.block, trace), self.training))
