"""LoRA and LoRA-COT (ours, not in the paper): FT with a low-rank adapter on the final MLP block, made by peft."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from rv_edit.editors import last_block
from rv_edit.editors.answering import Asking
from rv_edit.editors.descent import Descending, descend
from rv_edit.editors.last_block import Trace
from rv_edit.editors.option_kinds import check_kinds
from rv_edit.editors.weights import WeightEditor
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from rv_edit.editors.base import EditorContext
    from rv_edit.vlm import VLM


class LoRA(WeightEditor):
    """Trains one adapter, edit after edit: y = W x + alpha / rank · B A x for each linear layer of the final MLP block.

    Args:
        vlm: the frozen model; its weights are shared, not copied.
        training: steps, learning rate, early stopping.
        rank: of the adapter.
        alpha: scale of what it adds, times ``rank``.
        seed: of A; B starts at zero, so that an adapter without an edit adds nothing.
        target: ``{answer}``, or for the -COT form the answer followed by ``{reasoning}``.
        asking: how questions are scored and batched.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        vlm: VLM,
        training: Descending,
        *,
        rank: int = 8,
        alpha: float = 16.0,
        seed: int = 0,
        target: str = "{answer}",
        asking: Asking | None = None,
    ) -> None:
        if rank < 1 or not alpha > 0:
            raise ConfigError(f"editor.rank={rank}, editor.alpha={alpha}: give a rank of at least 1, alpha above 0")
        block = adapted(vlm.final_mlp(), rank, alpha, seed)
        self.training = training
        tensors = {name: weight for name, weight in block.named_parameters() if weight.requires_grad}
        about = {"training": training, "rank": rank, "alpha": alpha, "seed": seed}
        super().__init__(vlm, block, tensors, asking=asking, target=target, about=about)

    @classmethod
    def from_context(cls, context: EditorContext, **options: Any) -> LoRA:
        """Build for a run; ``options`` are those of ``conf/editor/lora.yaml``.

        Raises:
            ConfigError: an option unknown or out of range.
        """
        check_kinds("editor", options, cls.__init__)
        training: Mapping[str, Any] = options.pop("training")
        check_kinds("editor.training", training, Descending)
        return cls(context.vlm, Descending(**training), seed=context.seed, asking=context.asking, **options)

    def update(self, trace: Trace) -> str:
        """Descend on the mean −log p of the target's tokens; the adapter alone moves."""
        parameters = [weight for weight in self.block.parameters() if weight.requires_grad]
        return str(descend(parameters, lambda: last_block.loss(self.vlm, self.block, trace), self.training))


def adapted(block: nn.Module, rank: int, alpha: float, seed: int) -> nn.Module:
    """A twin of ``block`` with an fp32 adapter on each of its linear layers; ``block`` itself is left alone."""
    from peft import LoraConfig, inject_adapter_in_model

    options: dict[str, Any] = {
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "target_modules": list(last_block.linear_layers(block)),
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        twin: nn.Module = inject_adapter_in_model(LoraConfig(**options), last_block.twin(block))
    for name, weight in twin.named_parameters():
        weight.requires_grad_("lora_" in name)
        if weight.requires_grad:
            weight.data = weight.data.float()
    return twin.eval()
