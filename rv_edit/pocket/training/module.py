"""The LightningModule that trains a pocket VLM in four stages.

``vision``: tower and projector learn dense labels and to imitate the tokens of a perfect eye (:class:`Oracle`).
``language``: the decoder reads such tokens. ``align``: tower and projector again, with the words as the decoder has
come to use them. ``joint``: everything together, from pixels. Each stage is a fit of its own
with a cosine schedule, checkpointed and resumable.
"""

from __future__ import annotations

import math

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from rv_edit.pocket.scene import GRID, KINDS
from rv_edit.pocket.training.contexts import SORTS
from rv_edit.pocket.training.optim import MuonAdamW
from rv_edit.pocket.training.oracle import CLASSES, Oracle
from rv_edit.pocket.training.packing import Packed


class PocketTraining(L.LightningModule):
    """Train ``model`` in one of the stages.

    Args:
        model: a LLaVA whose picture tokens are the 36 patches.
        tokenizer: of the model.
        stage: ``vision``, ``language``, ``align`` or ``joint``.
        lr: peak learning rate.
        total_steps: length of the cosine schedule.
        warmup: steps until the peak.
        imitate: weight of imitating the oracle's tokens in the joint stage.
        rest_share: share of ``lr`` that embeddings, heads, norms and biases get.
        pointing: weight of telling, half-way up, which thing a question speaks of.
        tower_share: share of ``lr`` that the vision tower gets in the joint stage.
    """

    def __init__(
        self,
        model: LlavaForConditionalGeneration,
        tokenizer: PreTrainedTokenizerFast,
        stage: str,
        lr: float,
        total_steps: int,
        warmup: int = 200,
        imitate: float = 0.0,
        tower_share: float = 0.1,
        pointing: float = 0.3,
        rest_share: float = 0.3,
    ) -> None:
        super().__init__()
        self.model, self.stage, self.imitate = model, stage, imitate
        self.lr, self.total_steps, self.warmup, self.tower_share = lr, total_steps, warmup, tower_share
        self.pointing, self.rest_share = pointing, rest_share
        text, vision = model.config.text_config, model.config.vision_config
        assert isinstance(text, LlamaConfig) and isinstance(vision, CLIPVisionConfig)
        self.oracle = Oracle(text.hidden_size, tokenizer)
        decoder = model.model.language_model
        self.pointer = nn.Linear(text.hidden_size, GRID * GRID + len(KINDS) + 1)
        self.marks: dict[str, float] = {}
        self._middle = torch.empty(0)
        decoder.layers[(len(decoder.layers) - 1) // 2].register_forward_hook(self._keep_middle)
        self.heads = nn.ModuleList(nn.Linear(vision.hidden_size, n) for n in CLASSES)
        unused: list[nn.Module] = []
        if stage == "language":
            unused = [self.heads, model.model.vision_tower, model.model.multi_modal_projector]
        elif stage in ("vision", "align"):
            unused = [self.pointer, self.oracle, decoder]
        for part in unused:
            part.requires_grad_(False)

    def compile_decoder(self) -> None:
        """Fuse what lies between the matrix products of a layer; the weights and their names stay as they are."""
        for layer in self.model.model.language_model.layers:
            layer.forward = torch.compile(layer.forward, dynamic=True)

    def perfect(self, labels: Tensor) -> Tensor:
        """Picture tokens ``(B, 36, d)`` of a perfect eye."""
        return self.oracle(labels, self.model.model.language_model.embed_tokens.weight)

    def look(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels ``(B, 3, 72, 72)`` to tower features ``(B, 36, dv)`` and picture tokens ``(B, 36, d)``."""
        seen = self.model.model.vision_tower(pixels).last_hidden_state[:, 1:]
        return seen, self.model.model.multi_modal_projector(seen)

    def read(self, packs: list[Packed], picture: Tensor) -> Tensor:
        """Mean loss on the answers of packed lessons, given picture tokens ``(B, 36, d)``."""
        core = self.model.model.language_model
        loss, weight = picture.new_zeros(()), 0.0
        for packed in packs:
            embeds = core.embed_tokens(packed.ids)
            at = packed.ids == self.model.config.image_token_index
            embeds = embeds.masked_scatter(at.unsqueeze(-1), picture[packed.owner].to(embeds.dtype))
            unseen = torch.zeros(packed.sees.shape).masked_fill_(~packed.sees, -1e4)
            hidden = core(
                inputs_embeds=embeds, attention_mask=unseen[:, None], position_ids=packed.positions, use_cache=False
            ).last_hidden_state
            wanted = packed.labels[:, 1:] != -100
            labels, weights = packed.labels[:, 1:][wanted], packed.weights[:, 1:][wanted]
            logits = self.model.lm_head(hidden[:, :-1][wanted]).float()
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
        """Loss of reading every patch's labels off the tower."""
        total = seen.new_zeros(())
        for i, head in enumerate(self.heads):
            logits = head(seen).float()
            total = total + F.cross_entropy(logits.flatten(0, 1), labels[..., i].flatten())
            if i < 4:
                on = labels[..., 0] != CLASSES[0] - 1
                right = (logits.argmax(-1) == labels[..., i])[on].float().mean()
                self.log(f"see/{i}", right, prog_bar=True)
        return total / len(self.heads)

    def training_step(self, batch: tuple[list[Packed], Tensor | None, Tensor], _: int) -> Tensor:
        """The stage's loss on packed lessons, pixels ``(B, 3, 72, 72)`` and labels ``(B, 36, 6)``."""
        packed, pixels, labels = batch
        if self.stage == "language":
            loss = self.read(packed, self.perfect(labels))
        else:
            assert pixels is not None
            seen, picture = self.look(pixels)
            target = self.perfect(labels).detach()
            loss = self.dense(seen, labels)
            copy = F.mse_loss(picture.float(), target.float()) / target.float().var()
            sight = loss + copy
            loss = sight if self.stage in ("vision", "align") else self.read(packed, picture) + self.imitate * sight
            self.log("copy", copy, prog_bar=True)
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Muon on the matrices of the blocks, AdamW on everything else; warm-up, then cosine to a twentieth."""
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                continue
            block = parameter.ndim == 2 and ".layers." in name
            groups.setdefault((block, "vision_tower" in name), []).append(parameter)
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
