"""``python -m rv_edit.pocket.training.export``: turn checkpoints into the folders that ship with the package.

Weights are written in float16, in the layout of the hub; they are loaded as any checkpoint is.
"""

from __future__ import annotations

import argparse
import json
from importlib.resources import files
from pathlib import Path
from random import Random

import torch

from data_modules.records import ImageRef
from rv_edit.embedding import TextEncoder
from rv_edit.embedding.calibrate import calibrate
from rv_edit.pocket.render import render_png
from rv_edit.pocket.scene import random_scene
from rv_edit.pocket.tokenizer import build_tokenizer
from rv_edit.pocket.training.build import TEMPLATE, Size, build_llava, build_processor
from rv_edit.pocket.training.contexts import random_query
from rv_edit.pocket.training.sentences import SentenceTraining, build_encoder, export_encoder

CALIBRATION_PAIRS = 256


def weights_folder() -> Path:
    """Where the shipped weights lie."""
    return Path(str(files("rv_edit.pocket"))) / "weights"


def export_llava(checkpoint: Path, folder: Path) -> None:
    """Write model, processor, prompt style."""
    tokenizer = build_tokenizer()
    model = build_llava(tokenizer, Size(), 0)
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    own = {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}
    model.load_state_dict(own)
    folder.mkdir(parents=True, exist_ok=True)
    model.generation_config.do_sample = False
    model.half().save_pretrained(folder)
    build_processor(tokenizer).save_pretrained(folder)
    style = {"template": TEMPLATE, "yes_no": ["yes", "no"]}
    (folder / "rv_edit_prompt.json").write_text(json.dumps(style, indent=2) + "\n")


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
    parser.add_argument("--llava", type=Path, help="checkpoint of the joint stage")
    parser.add_argument("--sentences", type=Path, help="checkpoint of the sentences stage")
    parser.add_argument("--out", type=Path, default=weights_folder())
    parser.add_argument("--layer", type=int, default=3)
    parser.add_argument("--lam", type=float, default=1.0)
    args = parser.parse_args()
    if args.sentences:
        export_sentences(args.sentences, args.out / "sentence_encoder")
    if args.llava:
        export_llava(args.llava, args.out / "llava")
    vlm, encoder = load_vlm(str(args.out / "llava")), TextEncoder(str(args.out / "sentence_encoder"))
    space = calibrate(
        vlm, encoder, calibration_sample(), layer=args.layer, lam=args.lam, source="pocket scenes and questions"
    )
    space.save(args.out / "llava" / "key_space.json")
    for path in args.out.rglob("*"):
        if path.is_file():
            path.chmod(0o644)  # safetensors are written for their owner alone


if __name__ == "__main__":
    main()
