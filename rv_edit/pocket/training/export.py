"""``python -m rv_edit.pocket.training.export``: turn checkpoints into the folders that ship with the package.

Weights are written in float16, in the layout of the hub; they are loaded as any checkpoint is.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from random import Random

import torch

from data_modules.records import ImageRef
from rv_edit.embedding import TextEncoder
from rv_edit.embedding.calibrate import calibrate
from rv_edit.pocket.render import render_png
from rv_edit.pocket.scene import random_scene
from rv_edit.pocket.tokenizer import build_tokenizer
from rv_edit.pocket.training.contexts import random_query
from rv_edit.pocket.training.sentences import SentenceTraining, build_encoder, export_encoder
from rv_edit.pocket.training.siblings import BUILDERS, family_of, save, weights_folder

CALIBRATION_PAIRS = 256
FOLDERS = ("llava", *BUILDERS)


def export_vlm(name: str, checkpoint: Path, folder: Path) -> None:
    """Write the model, its processor and prompt style."""
    family, _ = family_of(name, weights_folder() / "llava", 0)
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    own = {part.removeprefix("model."): value for part, value in state.items() if part.startswith("model.")}
    family.model.load_state_dict(own)
    save(family, name, folder)


def export_sentences(checkpoint: Path, folder: Path) -> None:
    """Write the sentence encoder."""
    tokenizer = build_tokenizer()
    tokenizer.padding_side = "right"
    module = SentenceTraining(build_encoder(tokenizer, 0), 0.0, 1)
    module.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"])
    export_encoder(module.encoder, tokenizer, folder)


def calibration_sample(n: int = CALIBRATION_PAIRS) -> list[tuple[ImageRef, str]]:
    """Pictures with a question each, as training draws them."""
    pairs = []
    for index in range(n):
        rng = Random(f"calibration/{index}")
        scene = random_scene(rng)
        pairs.append((ImageRef.from_bytes(render_png(scene)), random_query(scene, rng).render(rng)))
    return pairs


def main() -> None:
    """Parse and export what is given."""
    from rv_edit.vlm import load_vlm

    parser = argparse.ArgumentParser(description=__doc__)
    for name in FOLDERS:
        parser.add_argument(f"--{name}", type=Path, help="checkpoint of its joint stage")
    parser.add_argument("--sentences", type=Path, help="checkpoint of the sentences stage")
    parser.add_argument("--out", type=Path, default=weights_folder())
    parser.add_argument("--layer", type=int, default=3)
    parser.add_argument("--lam", type=float, default=1.0)
    args = parser.parse_args()
    if args.sentences:
        export_sentences(args.sentences, args.out / "sentence_encoder")
    encoder = TextEncoder(str(args.out / "sentence_encoder"))
    for name in FOLDERS:
        folder, checkpoint = args.out / name, getattr(args, name)
        if checkpoint:
            export_vlm(name, checkpoint, folder)
        if checkpoint or (args.sentences and folder.is_dir()):
            vlm, sample = load_vlm(str(folder)), calibration_sample()
            source = "pocket scenes and questions"
            calibrate(vlm, encoder, sample, layer=args.layer, lam=args.lam, source=source).save(
                folder / "key_space.json"
            )
    for path in args.out.rglob("*"):
        if path.is_file():
            path.chmod(0o644)  # safetensors are written for their owner alone


if __name__ == "__main__":
    main()
