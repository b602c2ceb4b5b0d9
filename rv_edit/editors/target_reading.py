"""The last decoder layer as an editor needs it: what enters its feed-forward block, and all that comes behind.

"The final MLP block in the language backbone" (paper D.3) is found by walking: the ``mlp`` of the last layer of
``get_decoder()``. No attention comes behind it, so what it adds at one position reaches the logits of that position
alone, ``logits_t = head(norm(r_t + mlp(x_t)))``. Whoever trains the block, or what replaces its output, needs ``x`` and
``r`` at the few positions that predict the target, once; everything before is never computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rv_edit.vlm.decoding import read, run, text_batch
from rv_edit.vlm.features import first_tensor

if TYPE_CHECKING:
    from rv_edit.vlm import VLM, ImageFeatures
    from rv_edit.vlm.prompts import Prompt


@dataclass(frozen=True, eq=False)
class BlockInputs:
    """One prompt and its target as the final feed-forward block sees them.

    Attributes:
        last: (d,) fp32, what enters the block at the prompt's last token.
        mean: (d,) fp32, the mean of what enters it over picture and prompt. Neither depends on the target.
        inputs: (T, d) what enters it at the positions that predict the T tokens of the target.
        residual: (T, d) what its output is added to there.
        ids: the target's T tokens.
    """

    last: Tensor
    mean: Tensor
    inputs: Tensor
    residual: Tensor
    ids: tuple[int, ...]

    def key(self, pooling: str) -> Tensor:
        """The key (d,) of the question: ``last | mean``."""
        return self.last if pooling == "last" else self.mean


def target_ids(vlm: VLM, answer: str, rest: str = "") -> tuple[int, ...]:
    """Tokens of an answer and of what follows it, by the one rule of :meth:`PromptEncoder.target_ids`.

    Raises:
        ValueError: the answer has no token.
    """
    return tuple(vlm.prompts.target_ids((answer, rest) if rest else answer))


@torch.no_grad()
def read_target(vlm: VLM, feats: ImageFeatures, prompt: Prompt, ids: Sequence[int]) -> BlockInputs:
    """Read a prompt over its picture (one row), then the target's tokens, as scoring does.

    The prompt passes by itself first, so that not even the last bits of a key depend on the target.

    Raises:
        PromptTooLongError: more tokens than the model has positions.
    """
    with torch.inference_mode(False):
        with _Tap(vlm) as tap:
            _, context = read(vlm, feats, [prompt], [0], share=False, keep=True)
            assert context is not None
            vlm.prompts.check_length(context.next_pos[0] + len(ids) - 1, prompt, "prompt and target")
            entered, residual = tap.entered[0], tap.residual[0]
            inputs, rest = [entered[-1:]], [residual[-1:]]
            if len(ids) > 1:
                run(vlm, text_batch(vlm, [list(ids[:-1])], context), "continue", [0], past=context)
                inputs.append(tap.entered[0])
                rest.append(tap.residual[0])
        return BlockInputs(
            entered[-1].float().clone(), entered.float().mean(dim=0), torch.cat(inputs), torch.cat(rest), tuple(ids)
        )


@torch.no_grad()
def prompt_key(vlm: VLM, feats: ImageFeatures, prompt: Prompt, pooling: str) -> Tensor:
    """(d,) fp32: the key of one prompt over one picture, as :func:`read_target` computes it."""
    with torch.inference_mode(False), _Tap(vlm) as tap:
        read(vlm, feats, [prompt], [0], share=False, keep=True)
        entered = tap.entered[0]
        return entered[-1].float().clone() if pooling == "last" else entered.float().mean(dim=0)


def target_nll(vlm: VLM, hidden: Tensor, ids: Sequence[int]) -> Tensor:
    """Mean −log p (scalar, fp32) of the target's tokens from the last layer's output (T, d), with gradients."""
    norm = vlm.decoder.norm
    assert isinstance(norm, nn.Module)
    logits = vlm.head(norm(hidden))
    return nn.functional.cross_entropy(logits, torch.as_tensor(list(ids), device=logits.device))


class _Tap:
    """While open, keeps what enters the final block, and silences its output: what the layer returns is the residual.

    The residual is exact that way, also in half precision, where a difference of two states would not be.
    """

    def __init__(self, vlm: VLM) -> None:
        self._vlm = vlm
        self._hooks = ExitStack()
        self.entered = torch.empty(0)
        self.residual = torch.empty(0)

    def __enter__(self) -> _Tap:
        block, layer = self._vlm.final_mlp(), self._vlm.lm_layers()[-1]
        self._add(block.register_forward_hook(self._silence))
        self._add(layer.register_forward_hook(self._keep))
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.close()

    def _add(self, handle: torch.utils.hooks.RemovableHandle) -> None:
        remove: Callable[[], None] = handle.remove
        self._hooks.callback(remove)

    def _silence(self, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        self.entered = inputs[0].detach()
        return torch.zeros_like(output)

    def _keep(self, _module: nn.Module, _inputs: object, output: object) -> None:
        self.residual = first_tensor(output).detach()
