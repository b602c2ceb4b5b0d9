"""The LightningModule that trains a pocket VLM in four stages.

``vision``: tower and projector learn dense labels and to imitate the tokens of a perfect eye (:class:`Oracle`).
``language``: the decoder reads such tokens. ``align``: tower and projector again, with the words as the decoder has
come to use them. ``joint``: everything together, from pixels. Each stage is a fit of its own
with a cosine schedule, checkpointed and resumable.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from rv_edit.pocket.scene import GRID, KINDS
from rv_edit.pocket.training.contexts import SORTS
from rv_edit.pocket.training.families import Family, Seen, Tokens
from rv_edit.pocket.training.optim import MuonAdamW
from rv_edit.pocket.training.oracle import CLASSES, SIDE, Oracle
from rv_edit.pocket.training.packing import Packed
from rv_edit.pocket.training.stream import Batch

BLOCKS = (".layers.", ".layer.", ".blocks.")
"""Parts of the names of weights inside transformer blocks."""


class PocketTraining(L.LightningModule):
    """Train ``model`` in one of the stages.

    Args:
        family: the model.
        stage: ``vision``, ``language``, ``align`` or ``joint``.
        lr: peak learning rate.
        total_steps: length of the cosine schedule.
        warmup: steps until the peak.
        imitate: weight of imitating the oracle's tokens in the joint stage.
        rest_share: share of ``lr`` that embeddings, heads, norms and biases get.
        pointing: weight of telling, half-way up, which thing a question speaks of.
        tower_share: share of ``lr`` that the vision tower gets in the joint stage.
        elder: a trained model whose picture tokens are imitated instead of the perfect eye's.
    """

    def __init__(
        self,
        family: Family,
        stage: str,
        lr: float,
        total_steps: int,
        warmup: int = 200,
        imitate: float = 0.0,
        tower_share: float = 0.1,
        pointing: float = 0.3,
        rest_share: float = 0.3,
        elder: Family | None = None,
    ) -> None:
        super().__init__()
        self.model, self.family, self.stage, self.imitate = family.model, family, stage, imitate
        self.lr, self.total_steps, self.warmup, self.tower_share = lr, total_steps, warmup, tower_share
        self.pointing, self.rest_share = pointing, rest_share
        self.elder = None if elder is None else (elder,)  # not a submodule: it is neither trained nor saved
        decoder = family.decoder
        width = decoder.config.hidden_size
        self.oracle = Oracle(width, family.tokenizer)
        self.pointer = nn.Linear(width, GRID * GRID + len(KINDS) + 1)
        self.marks: dict[str, float] = {}
        self._middle = torch.empty(0)
        decoder.layers[(len(decoder.layers) - 1) // 2].register_forward_hook(self._keep_middle)
        self.heads = nn.ModuleList(nn.Linear(family.patch_width, n) for n in CLASSES)
        unused: list[nn.Module] = []
        if stage == "language":
            unused = [self.heads, *family.sight]
        elif stage in ("vision", "align"):
            unused = [self.pointer, self.oracle, decoder]
        for part in unused:
            part.requires_grad_(False)

    def compile_decoder(self) -> None:
        """Fuse what lies between the matrix products of a layer; the weights and their names stay as they are."""
        for layer in self.family.decoder.layers:
            layer.forward = torch.compile(layer.forward, dynamic=True)

    def perfect(self, labels: Tensor) -> Tensor:
        """Picture tokens ``(n, d)`` of a perfect eye, of pictures with one patch grid, labels ``(n, 6)``."""
        words = self.family.decoder.embed_tokens.weight
        return self.oracle(labels.view(-1, SIDE * SIDE, len(CLASSES)), words).flatten(0, 1)

    def read(self, packs: list[Packed], show: Callable[[Packed], Tokens]) -> Tensor:
        """Mean loss on the answers of packed lessons, given the picture tokens of their rows."""
        core = self.family.decoder
        loss, weight = self.pointer.weight.new_zeros(()), 0.0
        for packed in packs:
            embeds = core.embed_tokens(packed.ids)
            at = packed.ids == self.family.layout.image_id
            shown = show(packed)
            embeds = embeds.masked_scatter(at.unsqueeze(-1), shown.tokens.to(embeds.dtype))
            unseen = torch.zeros(packed.sees.shape).masked_fill_(~packed.sees, -1e4)
            hidden = core(
                inputs_embeds=embeds,
                attention_mask=unseen[:, None],
                position_ids=packed.positions,
                use_cache=False,
                **self.family.lm_inputs(at, shown),
            ).last_hidden_state
            wanted = packed.labels[:, 1:] != -100
            labels, weights = packed.labels[:, 1:][wanted], packed.weights[:, 1:][wanted]
            logits = self.family.head(hidden[:, :-1][wanted]).float()
            loss = loss + (F.cross_entropy(logits, labels, reduction="none") * weights).sum()
            loss = loss + self.pointing * self.point(packed)
            weight += float(weights.sum())
            missed = torch.zeros(wanted.shape)
            missed[wanted] = (logits.argmax(-1) != labels).float()
            self.mark(packed.spans, missed)
        self.log_dict({f"is/{sort}": value for sort, value in self.marks.items()}, prog_bar=True)
        return loss / weight

    def mark(self, spans: Tensor, missed: Tensor) -> None:
        """Keep a running share of exactly right answers for every sort of question; ``missed`` (B, T-1) is 1 or 0."""
        before = F.pad(missed.cumsum(1), (1, 0))
        rows, first, after, sorts = spans.T
        right = before[rows, after - 1] == before[rows, first - 1]
        for index in sorts.unique().tolist():
            share, sort = float(right[sorts == index].float().mean()), SORTS[index]
            self.marks[sort] = share + 0.97 * (self.marks.get(sort, share) - share)

    def point(self, packed: Packed) -> Tensor:
        """Summed loss of telling, from half-way up the decoder, which thing a question speaks of: its cell, its kind.

        A question's answer teaches only through what is built on top of finding the thing; this teaches to find it.
        """
        if not len(packed.about):
            return self._middle.new_zeros(())
        rows, columns, cells, kinds = packed.about.T
        found = self.pointer(self._middle[rows, columns]).float()
        n = GRID * GRID
        right = (found[:, :n].argmax(-1) == cells).float().mean()
        self.log("point", right, prog_bar=True)
        return F.cross_entropy(found[:, :n], cells, reduction="sum") + F.cross_entropy(
            found[:, n:], kinds, reduction="sum"
        )

    def _keep_middle(self, _: nn.Module, __: object, output: Tensor | tuple[Tensor, ...]) -> None:
        self._middle = output if isinstance(output, Tensor) else output[0]

    def dense(self, seen: Tensor, labels: Tensor) -> Tensor:
        """Loss of reading every patch's labels (n, 6) off the tower's features (n, dv)."""
        total = seen.new_zeros(())
        for i, head in enumerate(self.heads):
            logits = head(seen).float()
            total = total + F.cross_entropy(logits, labels[:, i])
            if i < 4:
                on = labels[:, 0] != CLASSES[0] - 1
                right = (logits.argmax(-1) == labels[:, i])[on].float().mean()
                self.log(f"see/{i}", right, prog_bar=True)
        return total / len(self.heads)

    def copy(self, seen: Seen, batch: Batch) -> Tensor:
        """How far picture tokens are from those of the perfect eye, or of the elder, relative to their variance.

        Only pictures in the teacher's own grid are compared.
        """
        tokens = self.family.tokens(seen, range(len(batch.sizes)), batch.instructions).tokens.float()
        same = torch.cat([torch.full((size,), size == SIDE * SIDE) for size in batch.sizes])
        if self.elder:
            assert batch.square is not None
            (elder,) = self.elder
            rows = [row for row, size in enumerate(batch.sizes) if size == SIDE * SIDE]
            with torch.no_grad():
                target = elder.tokens(elder.see({"pixel_values": batch.square}), rows, []).tokens.float()
        else:
            target = self.perfect(batch.labels[same]).detach().float()
        return F.mse_loss(tokens[same], target) / target.var()

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The stage's loss on a batch."""
        if self.stage == "language":
            picture = self.perfect(batch.labels).view(len(batch.sizes), SIDE * SIDE, -1)
            loss = self.read(batch.packed, lambda packed: Tokens(picture[packed.owner].flatten(0, 1)))
        else:
            seen = self.family.see(batch.pixels)
            loss = seen.patches.new_zeros(())
            if self.stage != "joint" or self.imitate:
                copy = self.copy(seen, batch)
                loss = self.dense(seen.patches, batch.labels) + copy
                self.log("copy", copy, prog_bar=True)
            if self.stage == "joint":
                tokens = self.family.tokens
                told = self.read(batch.packed, lambda packed: tokens(seen, packed.owner.tolist(), packed.instructions))
                loss = told + self.imitate * loss
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Muon on the matrices of the blocks, AdamW on everything else; warm-up, then cosine to a twentieth."""
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                continue
            block = parameter.ndim == 2 and any(part in name for part in BLOCKS)
            groups.setdefault((block, self.family.tower in name), []).append(parameter)
        # A tower that already sees is not to be thrown over by a decoder that cannot read yet. What is no matrix of a
        # block takes smaller steps: at Muon's rate the embeddings never settle.
        tower = self.tower_share if self.stage == "joint" else 1.0
        split = [
            [
                (some, (tower if in_tower else 1.0) * (1.0 if is_block else self.rest_share))
                for (is_block, in_tower), some in groups.items()
                if is_block is kind
            ]
            for kind in (True, False)
        ]
        optimizer = MuonAdamW(split[0], split[1], self.lr)

        def scale(step: int) -> float:
            warm = min(1.0, (step + 1) / self.warmup)
            return warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.total_steps))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, scale)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
