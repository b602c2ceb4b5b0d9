"""Contract of every family: what is loaded, what is refused and in which words."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from rv_edit.errors import ConfigError
from rv_edit.vlm import VLM, known_families, load_vlm, resolve_checkpoint
from rv_edit.vlm.fingerprint import of_model


def one_line(error: pytest.ExceptionInfo[ConfigError]) -> str:
    """The message, which must be one line."""
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.fixture
def broken(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(checkpoint, tmp_path / "broken"))


def test_loaded_frozen_and_in_eval_mode(vlm: VLM, family: str) -> None:
    """With the PIL backend, in fp32."""
    assert not vlm.model.training
    assert not any(p.requires_grad for p in vlm.model.parameters())
    assert type(vlm.processor.image_processor).__name__.endswith("Pil")
    assert next(vlm.model.parameters()).dtype == torch.float32
    assert family in type(vlm).model_types


def test_fingerprint(vlm: VLM, checkpoint: Path) -> None:
    """Stable across loads; any weight, or the dtype, changes it."""
    again = load_vlm(str(checkpoint))
    assert again.fingerprint == vlm.fingerprint
    assert again.preprocessing == vlm.preprocessing
    assert load_vlm(str(checkpoint), dtype="bfloat16").fingerprint != vlm.fingerprint
    for name, weight in again.model.named_parameters():
        if name.endswith(("lm_head.weight", "fc1.bias", "embed_tokens.weight")):
            kept = weight.detach().clone()
            with torch.no_grad():
                weight.view(-1)[-1] += 1e-3
            assert of_model(again.model) != vlm.fingerprint, name
            with torch.no_grad():
                weight.copy_(kept)
    assert of_model(again.model) == vlm.fingerprint
    again.text_config.rms_norm_eps *= 2
    assert of_model(again.model) != vlm.fingerprint


def test_bfloat16(vlm: VLM, checkpoint: Path, images: list[Image.Image]) -> None:
    """Runs, stays near fp32, batched near single, outputs fp32."""
    half = load_vlm(str(checkpoint), dtype="bfloat16")
    assert next(half.model.parameters()).dtype == torch.bfloat16
    prompts = [half.format_prompt("What is it?"), half.format_prompt("What colour is the small cat near the lamp?")]
    candidates = [["red", "a small dog"]] * 2
    feats = half.encode_images(images[:2], pool_layers=[1])
    assert feats.pooled[1].dtype == torch.float32
    batched, full = (model.score(model.encode_images(images[:2]), prompts, candidates) for model in (half, vlm))
    for index in range(2):
        single = half.score(feats.pick([index]), [prompts[index]], [candidates[index]])[0]
        assert single.logp == pytest.approx(batched[index].logp, abs=0.1)
        assert full[index].logp == pytest.approx(batched[index].logp, rel=0.05)


def test_float16(checkpoint: Path, images: list[Image.Image]) -> None:
    """Parts that the library keeps in fp32 then, such as a Q-Former's queries, do not meet the rest unprepared."""
    half = load_vlm(str(checkpoint), dtype="float16")
    feats = half.encode_images(images[:1], pool_layers=[1])
    assert feats.rows[0].tokens.dtype == torch.float16 and feats.pooled[1].dtype == torch.float32
    prompt = half.format_prompt("What is it?")
    (score,) = half.score(feats, [prompt], [["red", "a small dog"]])
    full = load_vlm(str(checkpoint))
    (plain,) = full.score(full.encode_images(images[:1]), [prompt], [["red", "a small dog"]])
    assert score.logp == pytest.approx(plain.logp, rel=0.02)
    assert all(value.isfinite().all() for value in half.embed_layers(images[:1], [prompt]).values())


def test_missing_weights_are_refused(broken: Path) -> None:
    """The library only warns, and fills in random ones."""
    file = broken / "model.safetensors"
    weights = load_file(file)
    name = next(key for key in sorted(weights) if "layers.1.mlp" in key)
    del weights[name]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match="1 weights are missing") as error:
        load_vlm(str(broken))
    assert "mlp" in one_line(error)


def test_truncated_and_mismatched_weights(broken: Path) -> None:
    """One line each, no traceback of the library."""
    file = broken / "model.safetensors"
    weights = load_file(file)
    name = next(key for key in sorted(weights) if key.endswith("fc1.bias"))
    save_file({**weights, name: torch.zeros(3)}, file, metadata={"format": "pt"})
    with pytest.raises(ConfigError) as error:
        load_vlm(str(broken))
    one_line(error)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ConfigError, match="is cut off") as error:
        load_vlm(str(broken))
    one_line(error)


def test_unknown_family_lists_the_known_ones(broken: Path) -> None:
    """Also a family that the library does not know."""
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "model_type": "llava_from_mars"}))
    with pytest.raises(ConfigError, match="llava_from_mars") as error:
        load_vlm(str(broken))
    assert ", ".join(known_families()) in one_line(error)
    (broken / "config.json").write_text(json.dumps({**config, "model_type": ["llava"]}))
    with pytest.raises(ConfigError, match="known families"):
        load_vlm(str(broken))


def test_bad_options(checkpoint: Path, tmp_path: Path) -> None:
    """Stop before anything is loaded."""
    for options, message in (
        ({"dtype": "float31"}, "float32, bfloat16"),
        ({"device": "gpu7"}, "device 'gpu7'"),
        ({"attn_implementation": "telepathy"}, "telepathy"),
    ):
        with pytest.raises(ConfigError, match=message) as error:
            load_vlm(str(checkpoint), **options)
        one_line(error)
    with pytest.raises(ConfigError, match="no such folder"):
        load_vlm(str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match=r"no config\.json") as error:
        load_vlm(str(tmp_path))
    one_line(error)


def test_processor_files_missing(broken: Path) -> None:
    """Weights alone are not a checkpoint."""
    for path in broken.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith(("config", "model")):
            path.unlink()
    with pytest.raises(ConfigError, match="processor cannot be loaded") as error:
        load_vlm(str(broken))
    one_line(error)


def test_a_tokenizer_without_words(broken: Path) -> None:
    """The library makes up an empty one for some classes where its file is missing."""
    for path in broken.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ConfigError, match="processor cannot be loaded|its tokenizer knows no word") as error:
        load_vlm(str(broken))
    assert "hf download" in one_line(error)


def test_names_that_are_no_folder(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the checkpoint, a path of another system, nothing at all; also where the hub may not be asked."""
    from huggingface_hub import constants

    for offline in (False, True):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        for name, message in (
            (str(checkpoint / "model.safetensors"), "is a file; give the folder"),
            ("C:\\models\\llava", "neither a folder nor a hub id"),
            ("two words", "neither a folder nor a hub id"),
            ("", "no such folder"),
        ):
            with pytest.raises(ConfigError, match=message) as error:
                load_vlm(name)
            one_line(error)


def test_resolve_checkpoint(tmp_path: Path) -> None:
    """Folders stay, package paths become paths, the rest is for the hub."""
    assert resolve_checkpoint(str(tmp_path)) == str(tmp_path)
    assert Path(resolve_checkpoint("package://rv_edit.vlm/llava.py")).samefile(
        Path(sys.modules["rv_edit.vlm"].__path__[0]) / "llava.py"
    )
    assert resolve_checkpoint("llava-hf/llava-1.5-7b-hf") == "llava-hf/llava-1.5-7b-hf"
    with pytest.raises(ConfigError, match="no package 'rv_edit.nowhere'"):
        resolve_checkpoint("package://rv_edit.nowhere/x")
    with pytest.raises(ConfigError, match="has no 'weights/x'"):
        resolve_checkpoint("package://rv_edit.vlm/weights/x")
    with pytest.raises(ConfigError, match="no such folder"):
        resolve_checkpoint("./nothing")


def test_a_torchvision_of_another_torch(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its misleading error becomes advice."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="pip uninstall torchvision") as error:
        load_vlm(str(checkpoint))
    assert "nms" in one_line(error)


def test_a_family_is_found_by_its_file() -> None:
    """Nothing but the file: the scan names the module's class."""
    families = known_families()
    assert families["llava"].__module__ == "rv_edit.vlm.llava"
