"""Real pipelines of Stable Diffusion 3 and FLUX, with small random weights."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rv_edit.benchmark.building.diffusion import FLAGGED, NOTHING, DiffusersImages
from rv_edit.benchmark.building.journal import Journal
from rv_edit.benchmark.building.pictures import BLANK, Drawn, Quality, Studio
from rv_edit.benchmark.building.plan import PictureJob
from rv_edit.benchmark.building.requests import UnusableError
from rv_edit.benchmark.building.store import PictureStore
from rv_edit.errors import ConfigError
from tests.benchmark.building.subjects import image_request, record, subject

pytest.importorskip("diffusers", reason="needs diffusers")
SMALL = {"num_inference_steps": 2, "height": 32, "width": 32, "max_sequence_length": 48}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from tests.benchmark.building.tiny_diffusion import build_flux, build_sd3

    return {"sd3": build_sd3(tmp_path_factory.mktemp("sd3")), "flux": build_flux(tmp_path_factory.mktemp("flux"))}


def painter(folder: Path, **options: Any) -> DiffusersImages:
    return DiffusersImages(str(folder), **{"dtype": "float32", "device": "cpu", "arguments": SMALL, **options})


def pixels(image: Image.Image | UnusableError) -> np.ndarray[Any, Any]:
    assert isinstance(image, Image.Image) and image.mode == "RGB"
    return np.asarray(image).astype(int)


@pytest.mark.parametrize(("name", "kind"), [("sd3", "StableDiffusion3Pipeline"), ("flux", "FluxPipeline")])
def test_a_picture_depends_on_its_prompt_and_seed_alone(folders: dict[str, Path], name: str, kind: str) -> None:
    provider = painter(folders[name])
    requests = [image_request("a cat on the mat", seed) for seed in (1, 2)] + [image_request("a red dog", 1)]
    together = [pixels(image) for image in provider.paint(requests)]
    assert type(provider._pipeline).__name__ == kind
    assert all(image.shape == (32, 32, 3) for image in together)
    assert np.abs(together[0] - together[1]).max() > 50 and np.abs(together[0] - together[2]).max() > 0
    provider.release()
    assert provider._pipeline is None
    for request, image in zip(requests[::-1], together[::-1], strict=True):
        alone = pixels(provider.paint([request])[0])
        assert np.abs(alone - image).max() <= 1  # a batch may turn the last bit of a value
    # the pipeline called as its own documentation has it
    import diffusers
    import torch

    stock = diffusers.DiffusionPipeline.from_pretrained(folders[name])
    expected = stock("a red dog", generator=torch.Generator().manual_seed(1), **SMALL).images[0]
    assert np.abs(pixels(expected) - alone_of(provider, requests[2])).max() == 0


def alone_of(provider: DiffusersImages, request: Any) -> np.ndarray[Any, Any]:
    return pixels(provider.paint([request])[0])


def test_what_a_safety_filter_withholds_is_no_picture(folders: dict[str, Path]) -> None:
    provider = painter(folders["sd3"])
    provider.load()

    def withheld(**given: Any) -> Any:
        assert [generator.initial_seed() for generator in given["generator"]] == [1, 2]
        images = [Image.new("RGB", (8, 8)), Image.new("L", (8, 8), 200)]
        return SimpleNamespace(images=images, nsfw_content_detected=[True, False])

    provider._pipeline = withheld
    first, second = provider.paint([image_request("x", 1), image_request("x", 2)])
    assert isinstance(first, UnusableError) and first.reason == FLAGGED and not first.final
    assert pixels(second).max() == 200


@pytest.mark.parametrize("weight", [-50.0, float("nan")], ids=["black", "overflow"])
def test_black_pictures_of_a_real_pipeline_are_made_anew_then_dropped(
    folders: dict[str, Path], tmp_path: Path, weight: float, recwarn: pytest.WarningsRecorder
) -> None:
    """What a filter inside of a pipeline returns, and what half precision does where a decoder overflows."""
    import torch

    provider = painter(folders["sd3"])
    provider.load()
    last = provider._pipeline.vae.decoder.conv_out
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(weight)
    job = PictureJob("q1/i-sd3-0", "i_gen", "a cat", "sd3", 0, subject())
    with Journal(tmp_path / "journal") as journal:
        quality = Quality(regenerations=1, threshold=0.5, spread=8, batch_size=1)
        studio = Studio({"sd3": provider}, None, PictureStore(tmp_path), journal, quality, seed=0, release=False)
        assert studio.draw([job]) == {job.item: Drawn(dropped=BLANK)}
        assert len(journal.rows) == 2
    assert not (tmp_path / "images").exists()
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]


def test_nothing_is_drawn_from_an_empty_prompt(folders: dict[str, Path]) -> None:
    """An edit without facts on a photo without a caption: a picture of anything would be asked the edited question."""
    provider = painter(folders["sd3"])
    first, second, third = provider.paint([image_request(text, 1) for text in ("", "a red dog", "")])
    for nothing in (first, third):
        assert isinstance(nothing, UnusableError) and nothing.final and nothing.reason == NOTHING
    assert (pixels(second) == alone_of(provider, image_request("a red dog", 1))).all()


def test_about_says_what_pictures_depend_on(folders: dict[str, Path]) -> None:
    provider = painter(folders["sd3"], batch_size=3, seconds_per_image=2.0)
    model = {"model": str(folders["sd3"]), "revision": None, "variant": None, "dtype": "float32"}
    assert provider.about == {"kind": "diffusers", **model, **SMALL}
    assert provider.refuses(record()) is None and provider.batch_size == 3 and provider.seconds_per_image == 2.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"offload": "some"}, "offload=some"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"name": "/nowhere/pipeline"}, "no such folder"),
        ({"dtype": "float7"}, "dtype=float7"),
        ({"device": "quantum"}, "cannot be loaded"),
        ({"arguments": {**SMALL, "strength": 1}}, "takes no 'strength'"),
        ({"arguments": {**SMALL, "max_sequence_length": 9999}}, "refuses its arguments"),
        ({"arguments": {**SMALL, "output_type": "np"}}, "arguments.output_type comes from the suites"),
        ({"arguments": {**SMALL, "prompt": "x"}}, "arguments.prompt comes from the suites"),
    ],
)
def test_bad_options_are_one_line(folders: dict[str, Path], options: dict[str, Any], said: str) -> None:
    given = {"dtype": "float32", "device": "cpu", "arguments": SMALL, "name": str(folders["sd3"]), **options}
    with pytest.raises(ConfigError, match=said) as caught:
        DiffusersImages(given.pop("name"), **given).paint([image_request("x", 1)])
    assert "\n" not in str(caught.value)


def test_a_partial_download_is_one_line(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["sd3"], tmp_path / "part")
    for path in folder.glob("transformer/*.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ConfigError, match="cannot be loaded") as caught:
        painter(folder).load()
    assert "\n" not in str(caught.value)
    shutil.rmtree(folder / "transformer")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        painter(folder).load()


def test_what_is_not_cached_is_named_with_the_command() -> None:
    """No hub may be asked in tests."""
    with pytest.raises(ConfigError, match=r"^task\.images: owner/model cannot be loaded \(") as caught:
        DiffusersImages("owner/model", device="cpu").load()
    assert str(caught.value).endswith("; get it with: hf download owner/model") and "\n" not in str(caught.value)


def test_without_the_library(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ConfigError, match=r"diffusers is needed .*rv-edit\[suites\]"):
        painter(folders["sd3"]).load()


def test_too_little_memory_is_one_line(folders: dict[str, Path]) -> None:
    import torch

    provider = painter(folders["sd3"])
    provider.load()

    def starved(**given: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20 GiB")

    provider._pipeline = starved
    with pytest.raises(ConfigError, match="runs out of memory; lower its batch_size"):
        provider.paint([image_request("x", 1)])
