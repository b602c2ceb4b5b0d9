"""BalancEdit (Guo et al., 2025; paper D.3): each edit has a small update of the last block and a radius of its own.

A key is the mean of the states that enter the final feed-forward block over picture and prompt. The radius is
``ε = (1 − α) · d_pos + α · d_neg``: d_pos from the key to that of the question reworded, d_neg to that of the same
question on a blank picture (the release has α the other way round, and trains the base layer as well; the paper is
followed). The update is a low-rank matrix beside one of the block's own, which stays as it is: a full one would be
90 MB an edit for a model of 7 billion weights. BalancEdit-COT trains the update on the answer followed by the
reasoning (``target``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from data_modules.records import Edit
from rv_edit.augment.seeding import item_seed
from rv_edit.editors.answering import Asking
from rv_edit.editors.base import EditorContext
from rv_edit.editors.entry_editor import EntryEditor, label_of, subject_of
from rv_edit.editors.entry_memory import Item
from rv_edit.editors.option_kinds import check_kinds
from rv_edit.editors.placing import BalancEditRule, Fact
from rv_edit.editors.rephrasing import Rephraser
from rv_edit.editors.scope import Change
from rv_edit.editors.target_reading import prompt_key, read_target, target_nll
from rv_edit.editors.value_training import Schedule, train
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from PIL import Image

    from rv_edit.vlm import VLM, ImageFeatures


class BalancEdit(EntryEditor):
    """Stores edits as low-rank updates that hold within a radius balanced for each of them.

    Args:
        vlm: the frozen model.
        rephraser: rewords questions.
        schedule: of the training of updates.
        asking: how questions are scored and batched.
        target: what is trained on: ``{answer}``, and what may follow it, with ``{reasoning}`` (all facts).
        alpha: α, the weight of the blank picture's distance in the radius.
        blank: colour of the blank picture.
        matrix: the linear layer of the block that updates go beside.
        rank: of an update.
        rounding: share of a radius that the last bits of a distance may exceed it by.
        seed: of the run.

    Raises:
        ConfigError: an option out of range, or the block has no such matrix.
    """

    name: ClassVar[str] = "balancedit"
    pooling: ClassVar[str] = "mean"

    def __init__(
        self,
        vlm: VLM,
        rephraser: Rephraser,
        schedule: Schedule,
        *,
        asking: Asking | None = None,
        target: str = "{answer}",
        alpha: float = 0.2,
        blank: str = "black",
        matrix: str = "up_proj",
        rank: int = 4,
        rounding: float = 1e-3,
        seed: int = 0,
    ) -> None:
        if not 0 <= alpha <= 1 or rank < 1:
            raise ConfigError(f"editor: alpha={alpha}, rank={rank}; give a share from 0 to 1 and a rank of at least 1")
        _check(target, blank)
        self.rephraser, self.alpha, self.blank, self.rank = rephraser, alpha, blank, rank
        self.after_answer = target.removeprefix("{answer}")
        self.linear = _linear(vlm, matrix)
        super().__init__(
            vlm,
            width=rank * (self.linear.in_features + self.linear.out_features),
            rule=BalancEditRule(),
            schedule=schedule,
            asking=asking,
            seed=seed,
            rounding=rounding,
            rules={"matrix": matrix, "rank": rank, "target": target},
        )

    @classmethod
    def from_context(cls, context: EditorContext, **options: Any) -> BalancEdit:
        """Build for a run, see :func:`build`."""
        return build(context, **options)

    def read_edit(self, edit: Edit, image: Image.Image, feats: ImageFeatures) -> tuple[list[Item], tuple[str, ...]]:
        """One entry: key, radius, and the states that the update is trained on."""
        label = label_of(self.vlm, edit, edit.answer)
        rest = self.after_answer.replace("{reasoning}", " ".join(edit.reasoning)) if edit.reasoning else ""
        ids = label_of(self.vlm, edit, edit.answer, rest)
        read = read_target(self.vlm, feats, self.vlm.format_prompt(edit.question), ids)
        key = read.key(self.pooling)
        reworded, how = self.rephraser(feats, edit.question)
        near = [float((self._key(feats, text) - key).norm()) for text in reworded]
        positive = sum(near) / len(near)
        negative = float((self._key(self._blank(image), edit.question) - key).norm())
        radius = balanced_radius(positive, negative, self.alpha)
        notes = [f"radius {radius:.4g}: rewordings ({how}) at {positive:.4g}, blank picture at {negative:.4g}"]
        if positive >= negative:
            notes.append("the blank picture is no farther than the rewordings, so the radius balances nothing")
        fact = Fact(label, subject_of(edit), radius)
        states = {"inputs": read.inputs.cpu(), "residual": read.residual.cpu(), "target": torch.tensor(read.ids)}
        return [Item(edit.id, 0, "answer", edit.answer + rest, fact, key.cpu(), states)], tuple(notes)

    def train_value(self, item: Item, before: Tensor | None) -> Tensor:
        """Adam on the two factors alone, the states that enter the block computed before."""
        device = self.vlm.device
        inputs, residual = item.states["inputs"].to(device), item.states["residual"].to(device)
        ids = item.states["target"].tolist()
        start = self._start(item) if before is None else before

        def loss(value: Tensor) -> Tensor:
            def add(_module: nn.Module, entering: tuple[Tensor, ...], output: Tensor) -> Tensor:
                return output + self._delta(entering[0], value.expand(len(output), -1)).to(output.dtype)

            handle = self.linear.register_forward_hook(add)
            try:
                output: Tensor = self.vlm.final_mlp()(inputs)
            finally:
                handle.remove()
            return target_nll(self.vlm, residual + output, ids)

        return train(start.to(device), loss, self.schedule, f"edit {item.edit_id}").value

    def changed_module(self) -> nn.Module:
        """The matrix that updates go beside."""
        return self.linear

    def change(self) -> Change:
        """The update's output added to the matrix's."""
        return lambda inputs, outputs, values: outputs + self._delta(inputs, values).to(outputs.dtype)

    def _delta(self, inputs: Tensor, values: Tensor) -> Tensor:
        """(P, o) fp32: what the updates ``values`` (P, width) make of ``inputs`` (P, i)."""
        split = self.rank * self.linear.in_features
        right = values[:, :split].view(len(values), self.rank, -1)
        left = values[:, split:].view(len(values), -1, self.rank)
        low = torch.einsum("pi,pri->pr", inputs.float(), right)
        return torch.einsum("pr,por->po", low, left)

    def _start(self, item: Item) -> Tensor:
        """Factors whose product is 0: the right one random of unit gain, the left one 0."""
        generator = torch.Generator().manual_seed(item_seed(self.seed, item.edit_id, item.number))
        right = torch.randn(self.rank * self.linear.in_features, generator=generator)
        left = torch.zeros(self.rank * self.linear.out_features)
        return torch.cat([right / self.linear.in_features**0.5, left])

    def _key(self, feats: ImageFeatures, question: str) -> Tensor:
        return prompt_key(self.vlm, feats, self.vlm.format_prompt(question), self.pooling)

    def _blank(self, image: Image.Image) -> ImageFeatures:
        from PIL import Image as pil

        return self.vlm.encode_images([pil.new("RGB", image.size, self.blank)])


def build(
    context: EditorContext, *, training: Mapping[str, Any], rephrase: Mapping[str, Any], **options: Any
) -> BalancEdit:
    """Build for a run.

    Args:
        context: model, scoring, seed.
        training: options of :class:`Schedule`.
        rephrase: options of :class:`Rephraser`.
        options: of :class:`BalancEdit` itself.

    Raises:
        ConfigError: an option unknown or out of range.
    """
    check_kinds("editor", options, BalancEdit.__init__)
    check_kinds("editor.training", training, Schedule)
    check_kinds("editor.rephrase", rephrase, Rephraser)
    made = Rephraser(context.vlm, **rephrase), Schedule(**training)
    return BalancEdit(context.vlm, *made, asking=context.asking, seed=context.seed, **options)


def balanced_radius(positive: float, negative: float, alpha: float) -> float:
    """``(1 − α) · d_pos + α · d_neg``: from the rewordings' distance at α = 0 to the blank picture's at α = 1.

    >>> balanced_radius(1.0, 6.0, 0.2)
    2.0
    """
    return (1 - alpha) * positive + alpha * negative


def _linear(vlm: VLM, matrix: str) -> nn.Linear:
    block = vlm.final_mlp()
    found = {name: module for name, module in block.named_modules() if isinstance(module, nn.Linear)}
    if matrix not in found:
        raise ConfigError(f"editor.matrix={matrix}: the final block has {', '.join(found)}")
    return found[matrix]


def _check(target: str, blank: str) -> None:
    from PIL import ImageColor

    if not target.startswith("{answer}") or (target != "{answer}" and "{reasoning}" not in target):
        raise ConfigError(f"editor.target={target!r}: give {{answer}}, or {{answer}} with {{reasoning}} behind it")
    try:
        ImageColor.getrgb(blank)
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"editor.blank={blank!r}: give a colour, such as black") from error
