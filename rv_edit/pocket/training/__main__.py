"""``python -m rv_edit.pocket.training --stage language --out runs/pocket``: train a pocket VLM, stage by stage.

Every stage writes ``<out>/<stage>/last.ckpt`` every few minutes and resumes from it when started again.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from rv_edit.pocket.tokenizer import build_tokenizer
from rv_edit.pocket.training.module import PocketTraining
from rv_edit.pocket.training.sentences import Pairs, SentenceTraining, build_encoder
from rv_edit.pocket.training.siblings import BUILDERS, family_of, weights_folder
from rv_edit.pocket.training.stream import Lessons


class Plan(NamedTuple):
    """What a stage does unless told otherwise: steps, lessons (or pairs) a step and process, peak rate, ramp."""

    steps: int
    batch: int
    lr: float
    ramp: int = 0


PLANS = {
    "vision": Plan(3000, 48, 2e-3),
    "language": Plan(2600, 8, 3e-3, 1200),
    "align": Plan(400, 48, 1e-3),
    "joint": Plan(2200, 8, 2e-3),
    "sentences": Plan(1200, 128, 1e-3),
}
DECODER = ("language_model", "lm_head", "oracle", "pointer")
"""What ``align`` takes from the second checkpoint."""


def weights_of(path: Path) -> dict[str, Tensor]:
    """Of a checkpoint, or of a folder that was exported: then the training heads, which do not ship, start anew."""
    if path.is_dir():
        from transformers import AutoModelForImageTextToText

        model = AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32)
        return {f"model.{name}": value for name, value in model.state_dict().items()}
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    return state


def main() -> None:
    """Parse, build, fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", choices=list(PLANS), required=True)
    parser.add_argument("--family", choices=["llava", *BUILDERS], default="llava")
    parser.add_argument(
        "--elder", type=Path, default=weights_folder() / "llava", help="what the other families begin with"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/pocket_training"))
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--devices", type=int, default=1, help="processes, each with a batch of its own")
    parser.add_argument(
        "--init", type=Path, nargs="*", default=[], help="checkpoint or exported folder; align takes two"
    )
    parser.add_argument("--ramp", type=int, help="steps over which lessons grow hard")
    parser.add_argument("--imitate", type=float, default=1.0, help="weight of the vision loss in the joint stage")
    parser.add_argument("--precision", default="32-true", help="of Lightning; bf16-mixed pays on CPUs that have AMX")
    parser.add_argument("--compile", action="store_true", help="compile the decoder's layers (needs a C++ compiler)")
    args = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    plan = PLANS[args.stage]
    steps, batch, lr = args.steps or plan.steps, args.batch or plan.batch, args.lr or plan.lr
    ramp = plan.ramp if args.ramp is None else args.ramp
    if args.family != "llava" and args.stage not in ("align", "joint"):
        parser.error(f"--family {args.family} begins with the trained elder: its stages are align and joint")
    module: L.LightningModule
    if args.stage == "sentences":
        tokenizer = build_tokenizer()
        tokenizer.padding_side = "right"  # absolute positions: a sentence must not depend on its batch
        module = SentenceTraining(build_encoder(tokenizer, args.seed), lr, steps)
    else:
        family, elder = family_of(args.family, args.elder, args.seed)
        module = PocketTraining(family, args.stage, lr, steps, imitate=args.imitate, elder=elder)
    for index, path in enumerate(args.init):
        state = weights_of(path)
        if index:
            state = {name: value for name, value in state.items() if any(part in name for part in DECODER)}
        missing = module.load_state_dict(state, strict=False)
        sys.stdout.write(f"{path}: {len(state)} tensors, unexpected {missing.unexpected_keys}\n")
    if args.compile and isinstance(module, PocketTraining):
        module.compile_decoder()

    folder = args.out / args.stage if args.family == "llava" else args.out / args.family / args.stage
    last = folder / "last.ckpt"
    start = torch.load(last, map_location="cpu", weights_only=True)["global_step"] if last.exists() else 0
    stream: IterableDataset[Any]
    if args.stage == "sentences":
        stream = Pairs(tokenizer, batch, args.seed, start)
    else:
        words, look = args.stage in ("language", "joint"), args.stage != "language"
        imitates = elder if args.stage == "align" or args.imitate else None
        stream = Lessons(family, batch, args.seed + 1, start, words, ramp, look, imitates)
    loader = DataLoader(stream, batch_size=None, num_workers=args.workers)
    trainer = L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        devices=args.devices,
        strategy="ddp_find_unused_parameters_true" if args.devices > 1 else "auto",
        precision=args.precision,
        gradient_clip_val=1.0,
        logger=CSVLogger(folder, name=None, version="log"),
        callbacks=[
            ModelCheckpoint(
                folder, filename="last", every_n_train_steps=100, save_top_k=1, enable_version_counter=False
            ),
            TQDMProgressBar(refresh_rate=20),
        ],
        log_every_n_steps=20,
        enable_model_summary=False,
    )
    trainer.fit(module, loader, ckpt_path=last if last.exists() else None, weights_only=True)


if __name__ == "__main__":
    main()
