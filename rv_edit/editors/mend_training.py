"""Meta-training of MEND's transforms: a Lightning fit on a data set of their own, kept by what they depend on.

A step makes one edit with the transforms and asks two things of the edited model: that it says the answer to the same
question in other words, and that what it says to an unrelated question stays as it was::

    edit_weight · NLL(answer | reworded question) + loc_weight · KL(before ‖ after | unrelated question)

Everything in front of the final MLP block is frozen and was computed before (:mod:`rv_edit.editors.last_block`), and so
were the factors of each edit's gradient; a step costs a few passes of that block.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor
from torch.nn.functional import kl_div
from torch.utils.data import DataLoader

from rv_edit.editors import last_block
from rv_edit.editors.mend_block import DeltaBlock
from rv_edit.editors.mend_network import Factors, Transforms
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from rv_edit.editors.last_block import Trace
    from rv_edit.vlm import VLM

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NetworkOptions:
    """Of :class:`Transforms`: most ranks of a layer, layers of a network, step sizes at first."""

    rank: int = 1920
    layers: int = 2
    step: float = 1e-4


@dataclass(frozen=True)
class MetaTraining:
    """How transforms are trained.

    Attributes:
        data: gives the records to train on, which no run edits or asks; ``None``: there are none.
        rewording: dotted name of a function of a record and a seed that gives its question in other words; ``None``:
            the question itself.
        questions: of those records that the model is asked, to find its errors.
        edits: most errors that are trained on.
        held_out: share of them that tells when to stop.
        epochs: most passes over the others.
        patience: passes without a lower loss on the held-out ones after which training ends.
        batch_size: edits a step of the optimizer.
        lr: learning rate of the networks.
        step_lr: learning rate of the step sizes.
        edit_weight: of the reworded question's loss.
        loc_weight: of the unrelated question's divergence.
        clip: largest norm of a gradient.

    Raises:
        ConfigError: a value out of range.
    """

    data: Callable[[], Any] | None = None
    rewording: str | None = None
    questions: int = 1500
    edits: int = 400
    held_out: float = 0.2
    epochs: int = 60
    patience: int = 8
    batch_size: int = 10
    lr: float = 1e-4
    step_lr: float = 1e-4
    edit_weight: float = 0.1
    loc_weight: float = 1.0
    clip: float = 100.0

    def __post_init__(self) -> None:
        for name in ("questions", "edits", "epochs", "patience", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"editor.training.{name}={getattr(self, name)}: give at least 1")
        for name in ("lr", "step_lr", "clip"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ConfigError(f"editor.training.{name}={getattr(self, name)}: give a number above 0")
        if not 0 < self.held_out < 1:
            raise ConfigError(f"editor.training.held_out={self.held_out}: give a number between 0 and 1")


@dataclass(frozen=True)
class Episode:
    """One edit to train on: the factors of its gradient, the reworded question and an unrelated one, traced."""

    factors: Factors
    reworded: Trace
    unrelated: Trace


class TransformTraining(LightningModule):
    """The fit.

    Args:
        vlm: the frozen model; not a submodule.
        transforms: what is trained, in place.
        episodes: to train on.
        options: see :class:`MetaTraining`.
    """

    def __init__(self, vlm: VLM, transforms: Transforms, episodes: Sequence[Episode], options: MetaTraining) -> None:
        super().__init__()
        self.transforms = transforms
        self.options = options
        self.episodes = episodes
        self.best: tuple[float, dict[str, Tensor]] | None = None
        self._held = (vlm, DeltaBlock(vlm))  # a tuple, so that nothing of the model is moved, counted or saved

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam; step sizes have a learning rate of their own."""
        networks = [weight for name, weight in self.transforms.named_parameters() if name != "steps"]
        groups = [
            {"params": networks, "lr": self.options.lr},
            {"params": [self.transforms.steps], "lr": self.options.step_lr},
        ]
        return torch.optim.Adam(groups)

    def loss(self, episode: Episode) -> Tensor:
        """The weighted sum for one edit."""
        vlm, block = self._held
        with torch.no_grad():
            before = last_block.logits(vlm, block.module, episode.unrelated).log_softmax(dim=-1)
        with block.with_further(self.transforms.update(episode.factors)):
            says = last_block.loss(vlm, block.module, episode.reworded)
            after = last_block.logits(vlm, block.module, episode.unrelated).log_softmax(dim=-1)
        drift = kl_div(after, before, log_target=True, reduction="batchmean")
        return self.options.edit_weight * says + self.options.loc_weight * drift

    def training_step(self, batch: Sequence[int], batch_idx: int) -> Tensor | None:
        """Mean over some edits; a batch that is not finite is left out."""
        value = torch.stack([self.loss(self.episodes[index]) for index in batch]).mean()
        return value if bool(torch.isfinite(value)) else None

    def validation_step(self, batch: Sequence[int], batch_idx: int) -> None:
        """The same on edits that are not trained on."""
        value = torch.stack([self.loss(self.episodes[index]) for index in batch]).mean()
        self.log("held_out", value, batch_size=len(batch))

    def on_validation_epoch_end(self) -> None:
        """Keep the best."""
        value = float(self.trainer.callback_metrics["held_out"])
        if math.isfinite(value) and (self.best is None or value < self.best[0]):
            state = self.transforms.state_dict()
            self.best = (value, {name: tensor.detach().clone() for name, tensor in state.items()})


def fit(vlm: VLM, transforms: Transforms, episodes: Sequence[Episode], options: MetaTraining, seed: int) -> None:
    """Train ``transforms`` in place to the lowest held-out loss; that before training counts as well.

    Raises:
        ConfigError: too few episodes, or no loss was finite.
    """
    held = max(1, round(options.held_out * len(episodes)))
    if len(episodes) - held < 1:
        raise ConfigError(f"MEND: {len(episodes)} edits to train on; raise editor.training.questions")
    transforms.measure([episode.factors for episode in episodes[held:]])
    training = TransformTraining(vlm, transforms, episodes, options)
    order = torch.Generator().manual_seed(seed)
    size = options.batch_size
    places: Any = list(range(len(episodes)))
    shown: Any = DataLoader(places[held:], batch_size=size, shuffle=True, generator=order, collate_fn=list)
    told: Any = DataLoader(places[:held], batch_size=size, collate_fn=list)
    with warnings.catch_warnings(), torch.random.fork_rng(), torch.inference_mode(False), torch.enable_grad():
        warnings.simplefilter("ignore")  # advice on loaders and devices
        trainer = _trainer(vlm, options)
        trainer.validate(training, told, verbose=False)
        first = training.best
        trainer.fit(training, shown, told)
    if first is None or training.best is None:
        raise ConfigError("MEND: the loss is not finite before any training; lower editor.network.step")
    transforms.load_state_dict(training.best[1])
    log.info(
        "MEND: trained on %d edits for %d epochs, held-out loss %.4g to %.4g",
        len(episodes) - held, trainer.current_epoch, first[0], training.best[0],
    )  # fmt: skip


def _trainer(vlm: VLM, options: MetaTraining) -> Trainer:
    on_gpu: Mapping[str, Any] = {"accelerator": "gpu", "devices": [vlm.device.index or 0]}
    where: Mapping[str, Any] = {"accelerator": "cpu", "devices": 1} if vlm.device.type == "cpu" else on_gpu
    return Trainer(
        **where,
        max_epochs=options.epochs,
        gradient_clip_val=options.clip,
        callbacks=[EarlyStopping("held_out", patience=options.patience, check_finite=True)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
