"""Training of the small sentence encoder, contrastively, on the pocket world's own paraphrases.

Pairs that belong together: two wordings of a question, a question and the sighting or the fact behind it, two
wordings of a statement. All other sentences of the batch are negatives (multiple-negatives ranking loss, van den
Oord et al. 2018; Henderson et al. 2017). Held-out templates never occur.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.utils.data import IterableDataset
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from rv_edit.pocket.describe import Description
from rv_edit.pocket.draw import random_relation, value_query, which_query
from rv_edit.pocket.judge import Fact, Sighting
from rv_edit.pocket.knowledge import pool
from rv_edit.pocket.queries import Query
from rv_edit.pocket.scene import KINDS, random_scene
from rv_edit.pocket.training.contexts import BY_KNOWLEDGE, random_query, remark, stray

DIM, LAYERS, HEADS = 128, 2, 4
Ids = dict[str, Tensor]


def pair(rng: Random) -> tuple[str, str]:
    """Two sentences that belong together."""
    scene = random_scene(rng, hidden=0.1)
    thing, relation = rng.choice(scene.things), random_relation(rng)
    value = rng.choice(pool(relation))
    roll = rng.random()
    if roll < 0.42:
        query = random_query(scene, rng)
        return query.render(rng), query.render(rng)
    if roll < 0.58:
        query = value_query(scene, thing, relation, rng, named=0.0)
        return query.render(rng), Sighting(query.description, rng.choice(KINDS)).render(rng)
    fact = Fact(rng.choice(KINDS), relation, value)
    if roll < 0.78:
        query = which_query(scene, thing, relation, value, rng)
        if rng.random() < 0.4:
            query = Query(rng.choice(BY_KNOWLEDGE), Description(frozenset()), relation, value)
        return query.render(rng), fact.render(rng)
    if roll < 0.86 and not thing.hidden:
        query = value_query(scene, thing, relation, rng, named=1.0)
        return query.render(rng), replace(fact, kind=thing.kind).render(rng)
    if roll < 0.90:
        return fact.render(rng), fact.render(rng)
    statement = stray(scene, [], rng) or remark(scene, rng) or fact
    return statement.render(rng), statement.render(rng)


class Pairs(IterableDataset[tuple[Ids, Ids]]):
    """Endless batches of pairs from step ``start`` on."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, batch: int, seed: int, start: int = 0) -> None:
        self.tokenizer, self.batch, self.seed, self.start = tokenizer, batch, seed, start

    def __iter__(self) -> Iterator[tuple[Ids, Ids]]:
        step = self.start
        while True:
            drawn = [pair(Random(f"sentences/{self.seed}/{step}/{row}")) for row in range(self.batch)]
            yield self._ids([one for one, _ in drawn]), self._ids([two for _, two in drawn])
            step += 1

    def _ids(self, texts: list[str]) -> Ids:
        return dict(self.tokenizer(texts, padding=True, return_tensors="pt"))


def build_encoder(tokenizer: PreTrainedTokenizerFast, seed: int) -> BertModel:
    """Randomly initialised encoder of half a million parameters."""
    torch.manual_seed(seed)
    return BertModel(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=DIM,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=3 * DIM,
            max_position_embeddings=512,
            pad_token_id=tokenizer.pad_token_id,
            type_vocab_size=1,
        ),
        add_pooling_layer=False,
    )


class SentenceTraining(L.LightningModule):
    """Contrastive training; ``scale`` is the inverse temperature of the cosine."""

    def __init__(self, encoder: BertModel, lr: float, total_steps: int, scale: float = 20.0) -> None:
        super().__init__()
        self.encoder, self.lr, self.total_steps, self.scale = encoder, lr, total_steps, scale

    def embed(self, ids: Ids) -> Tensor:
        """Token ids to unit vectors ``(B, 128)``: the mean over tokens."""
        mask = ids["attention_mask"].unsqueeze(-1)
        hidden = self.encoder(input_ids=ids["input_ids"], attention_mask=ids["attention_mask"]).last_hidden_state
        return F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)

    def training_step(self, batch: tuple[Ids, Ids], _: int) -> Tensor:
        """Each sentence must find its partner among those of the batch, both ways round."""
        one, two = self.embed(batch[0]).float(), self.embed(batch[1]).float()
        scores = one @ two.T * self.scale
        target = torch.arange(len(scores))
        loss = (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
        self.log("accuracy", (scores.argmax(1) == target).float().mean(), prog_bar=True)
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with a linear warm-up and decay."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min(1.0, (step + 1) / 100) * max(0.05, 1 - step / self.total_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def export_encoder(encoder: BertModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a sentence-transformers folder: transformer, mean pooling, normalisation; weights in float16."""
    import shutil
    import tempfile

    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    with tempfile.TemporaryDirectory() as draft:
        encoder.half().save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        transformer = Transformer(draft, max_seq_length=256)
        model = SentenceTransformer(modules=[transformer, Pooling(DIM, pooling_mode="mean"), Normalize()], device="cpu")
        shutil.rmtree(folder, ignore_errors=True)
        model.half().save(str(folder), create_model_card=False)
