"""GRACE (Hartvigsen et al., 2023; paper D.3): an edit is a key and a value of the final feed-forward block.

Keys are states that enter the block at the prompt's last token (the release for language models takes those that enter
one linear layer, whose width depends on the family). Within an entry's radius its value takes the place of the block's
output, at the prompt's last position and at every answer position, so that choices that begin with the same token can
be told apart. ``cot=True``, GRACE-COT, has an entry for each fact besides, keyed by the fact as it would be asked over
the picture and trained to state it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from data_modules.records import Edit, ImageRef, RecordError
from rv_edit.augment.seeding import item_seed
from rv_edit.editors.answering import Asking
from rv_edit.editors.base import EditorContext
from rv_edit.editors.entry_editor import EntryEditor, label_of, subject_of
from rv_edit.editors.entry_memory import Item
from rv_edit.editors.option_kinds import check_kinds
from rv_edit.editors.placing import Fact, GraceRule
from rv_edit.editors.scope import Change
from rv_edit.editors.target_reading import prompt_key, read_target, target_nll
from rv_edit.editors.value_training import Schedule, train
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from PIL import Image

    from rv_edit.vlm import VLM, ImageFeatures

STARTS = ("cold", "warm")


class Grace(EntryEditor):
    """Stores edits as values that replace the block's output near a past error.

    Args:
        vlm: the frozen model.
        epsilon: ε, the radius of a new entry, in units of the keys.
        schedule: of the training of values.
        asking: how questions are scored and batched.
        cot: an entry for each fact besides the answer's.
        start: where a value begins: ``cold``, uniform in [0, 1), or ``warm``, the block's own output.
        gap: what a split leaves between the two radii.
        same: distance, in radii ε, within which two keys are one point, which no split can divide.
        rounding: share of a radius that the last bits of a distance may exceed it by.
        seed: of the run.

    Raises:
        ConfigError: an option out of range.
    """

    name: ClassVar[str] = "grace"
    pooling: ClassVar[str] = "last"

    def __init__(
        self,
        vlm: VLM,
        epsilon: float,
        schedule: Schedule,
        *,
        asking: Asking | None = None,
        cot: bool = False,
        start: str = "cold",
        gap: float = 1e-5,
        same: float = 1e-3,
        rounding: float = 1e-3,
        seed: int = 0,
    ) -> None:
        if start not in STARTS:
            raise ConfigError(f"editor.start={start}: give one of {', '.join(STARTS)}")
        if isinstance(epsilon, str) or not 0 < epsilon < float("inf") or gap < 0 or not 0 <= same < 1:
            raise ConfigError(
                f"editor: epsilon={epsilon}, gap={gap}, same={same}; "
                "give a finite radius above 0, a gap of at least 0 and a share from 0 to below 1"
            )
        self.epsilon, self.start, self.cot = float(epsilon), start, cot
        rule = GraceRule(gap, same)
        super().__init__(
            vlm,
            width=int(vlm.text_config.hidden_size),
            rule=rule,
            schedule=schedule,
            asking=asking,
            seed=seed,
            rounding=rounding,
            rules={"cot": cot, "start": start, "gap": gap, "same": same},
        )

    @classmethod
    def from_context(cls, context: EditorContext, **options: Any) -> Grace:
        """Build for a run, see :func:`build`."""
        return build(context, **options)

    def read_edit(self, edit: Edit, image: Image.Image, feats: ImageFeatures) -> tuple[list[Item], tuple[str, ...]]:
        """The answer to the question; with ``cot`` each fact, asked as it reads."""
        stated = [("answer", edit.question, edit.answer)]
        stated += [("reasoning", fact, fact) for fact in edit.reasoning if self.cot]
        items = []
        for number, (kind, asked, target) in enumerate(stated):
            label = label_of(self.vlm, edit, target)
            read = read_target(self.vlm, feats, self.vlm.format_prompt(asked), label)
            fact = Fact(label, subject_of(edit) if kind == "answer" else None, self.epsilon)
            states = {"residual": read.residual.cpu(), "start": self._start(edit, number, read.inputs[:1]).cpu()}
            items.append(Item(edit.id, number, kind, target, fact, read.key(self.pooling).cpu(), states))
        return items, ()

    def train_value(self, item: Item, before: Tensor | None) -> Tensor:
        """Adam on the value alone, the states around it computed before."""
        device = self.vlm.device
        residual = item.states["residual"].to(device)
        start = item.states["start"][0] if before is None else before

        def loss(value: Tensor) -> Tensor:
            return target_nll(self.vlm, residual + value.to(residual.dtype), item.fact.label)

        return train(start.to(device), loss, self.schedule, f"edit {item.edit_id}").value

    def changed_module(self) -> nn.Module:
        """The final feed-forward block."""
        return self.vlm.final_mlp()

    def change(self) -> Change:
        """The value instead of the output."""
        return lambda _inputs, _outputs, values: values

    def _start(self, edit: Edit, number: int, entering: Tensor) -> Tensor:
        """(1, d) fp32: where the value of a new entry begins."""
        if self.start == "warm":
            with torch.no_grad():
                output: Tensor = self.vlm.final_mlp()(entering)
            return output.float()
        generator = torch.Generator().manual_seed(item_seed(self.seed, edit.id, number))
        return torch.rand(1, entering.shape[-1], generator=generator)


def build(
    context: EditorContext,
    *,
    training: Mapping[str, Any],
    epsilon_share: float = 0.5,
    epsilon_pairs: int = 64,
    **options: Any,
) -> Grace:
    """Build for a run, with ε scaled from the data.

    Args:
        context: model, scoring, pictures of the data set, seed.
        training: options of :class:`Schedule`.
        epsilon_share: ε as a share of the median distance between the keys of questions of the data set.
        epsilon_pairs: questions that this is measured on.
        options: of :class:`Grace` itself; an ``epsilon`` among them is used as it is.

    Raises:
        ConfigError: an option unknown or out of range, or too few pictures to measure on.
    """
    check_kinds("editor", {"epsilon_share": epsilon_share, "epsilon_pairs": epsilon_pairs}, build)
    check_kinds("editor", options, Grace.__init__)
    check_kinds("editor.training", training, Schedule)
    schedule = Schedule(**training)
    if options.get("epsilon") is None:
        if not 0 < epsilon_share < float("inf") or epsilon_pairs < 2:
            raise ConfigError(
                f"editor: epsilon_share={epsilon_share}, epsilon_pairs={epsilon_pairs}; above 0, at least 2"
            )
        options["epsilon"] = epsilon_share * typical_distance(context.vlm, context.sample[:epsilon_pairs])
    return Grace(context.vlm, schedule=schedule, asking=context.asking, seed=context.seed, **options)


def typical_distance(vlm: VLM, sample: Sequence[tuple[ImageRef, str]]) -> float:
    """Median distance between the keys of all pairs of questions of ``sample``, each on its picture.

    Raises:
        ConfigError: fewer than two, or they are all alike.
    """
    keys = []
    for picture, question in sample:
        try:
            feats = vlm.encode_images([picture.open()])
        except RecordError:
            continue
        keys.append(prompt_key(vlm, feats, vlm.format_prompt(question), Grace.pooling))
    median = float(torch.pdist(torch.stack(keys).cpu().double()).median()) if len(keys) > 1 else 0.0
    if not 0 < median < float("inf"):
        raise ConfigError(
            f"editor.epsilon: the keys of {len(keys)} questions give no typical distance ({median}); "
            "raise dataset.sample, or give editor.epsilon"
        )
    return median
