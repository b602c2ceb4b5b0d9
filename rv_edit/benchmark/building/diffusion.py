"""Pictures from a text-to-image pipeline of ``diffusers``: Stable Diffusion 3, FLUX, and whatever else it loads."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from data_modules.hub_errors import first_line, not_loaded
from data_modules.qa_record import QARecord
from rv_edit.benchmark.building.memory import free_memory
from rv_edit.benchmark.building.requests import ImageRequest, UnusableError
from rv_edit.errors import ConfigError
from rv_edit.vlm import resolve_checkpoint

if TYPE_CHECKING:
    from PIL import Image

OFFLOADS = ("none", "model", "sequential")
FLAGGED = "withheld by the model's safety filter"
NOTHING = "no caption and no fact to draw from"
OURS = ("prompt", "generator", "output_type")
"""What a pipeline is given for each picture, and by no option."""


class DiffusersImages:
    """An :class:`~rv_edit.benchmark.building.requests.ImageProvider` from a pipeline.

    Args:
        name: folder or hub id of the pipeline.
        revision, variant: of a hub id.
        dtype: of the weights, as ``torch`` names it.
        device: where it runs; ``None``: a GPU where there is one.
        offload: ``model`` or ``sequential`` keeps on the GPU what is at work alone (needs accelerate).
        batch_size: pictures made at once; what a picture looks like may depend on it in the last bits.
        arguments: of the pipeline's call, by its own names (``num_inference_steps``, ``guidance_scale``, …).
        seconds_per_image: as measured elsewhere, for estimates.

    Raises:
        ConfigError: no such folder, an unknown way of offloading, or an argument that is none of the user's.
    """

    def __init__(
        self,
        name: str,
        *,
        revision: str | None = None,
        variant: str | None = None,
        dtype: str = "bfloat16",
        device: str | None = None,
        offload: str = "none",
        batch_size: int = 1,
        arguments: Mapping[str, Any] | None = None,
        seconds_per_image: float | None = None,
    ) -> None:
        if offload not in OFFLOADS:
            raise ConfigError(f"task.images: offload={offload} is unknown; give {', '.join(OFFLOADS)}")
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ConfigError(f"task.images: batch_size={batch_size}; give a whole number of at least 1")
        taken = next((name for name in OURS if name in (arguments or {})), None)
        if taken is not None:
            raise ConfigError(f"task.images: arguments.{taken} comes from the suites themselves; leave it out")
        self.name, self.revision, self.variant, self.dtype = name, revision, variant, dtype
        self.device, self.offload, self.batch_size = device, offload, batch_size
        self.arguments, self.seconds_per_image = dict(arguments or {}), seconds_per_image
        self.path = resolve_checkpoint(name)
        self.about = {
            "kind": "diffusers",
            "model": name,
            "revision": revision,
            "variant": variant,
            "dtype": dtype,
            **self.arguments,
        }
        self._pipeline: Any = None

    def refuses(self, record: QARecord) -> str | None:
        """Nothing: the prompt is all it needs."""
        return None

    def paint(self, requests: Sequence[ImageRequest]) -> list[Image.Image | UnusableError]:
        """One picture a request, each from a generator with its own seed on the CPU, hence alike on any device.

        An empty prompt gives none: whatever a model draws then, an edit says nothing about it.
        """
        painted = iter(self._painted([request for request in requests if request.prompt]))
        return [next(painted) if request.prompt else UnusableError(NOTHING, final=True) for request in requests]

    def _painted(self, requests: Sequence[ImageRequest]) -> list[Image.Image | UnusableError]:
        import torch

        if not requests:
            return []
        self.load()
        pipeline = self._pipeline
        generators = [torch.Generator("cpu").manual_seed(request.seed) for request in requests]
        try:
            with torch.no_grad(), warnings.catch_warnings():
                # A decoder that overflows in half precision gives a black picture, which is refused as such.
                warnings.filterwarnings("ignore", message="invalid value encountered in cast", category=RuntimeWarning)
                out = pipeline(
                    prompt=[request.prompt for request in requests],
                    generator=generators,
                    output_type="pil",
                    **self.arguments,
                )
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                f"task.images: {self.name} runs out of memory; lower its batch_size, or give offload=model"
            ) from error
        except (ValueError, TypeError) as error:
            raise ConfigError(f"task.images: {self.name} refuses its arguments ({first_line(error)})") from error
        flagged = getattr(out, "nsfw_content_detected", None) or [False] * len(requests)
        return [
            UnusableError(FLAGGED) if bad else image.convert("RGB")
            for image, bad in zip(out.images, flagged, strict=True)
        ]

    def release(self) -> None:
        """Drop the pipeline."""
        self._pipeline = None
        free_memory()

    def load(self) -> None:
        """Load the pipeline, unless it is there.

        Raises:
            ConfigError: it cannot be loaded, or takes other arguments.
        """
        if self._pipeline is not None:
            return
        import torch

        pipelines = _diffusers()
        dtype = getattr(torch, self.dtype, None)
        if not isinstance(dtype, torch.dtype):
            raise ConfigError(f"task.images: dtype={self.dtype} is none of torch; give bfloat16 or float32")
        try:
            with warnings.catch_warnings():
                # newer versions call it dtype, but take the old name that all versions know
                warnings.filterwarnings("ignore", message=".*torch_dtype.*", category=FutureWarning)
                pipeline = pipelines.DiffusionPipeline.from_pretrained(
                    self.path, revision=self.revision, variant=self.variant, torch_dtype=dtype
                )
            device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
            if self.offload == "model":
                pipeline.enable_model_cpu_offload(device=device)
            elif self.offload == "sequential":
                pipeline.enable_sequential_cpu_offload(device=device)
            else:
                pipeline = pipeline.to(device)
        except Exception as error:  # files missing or damaged, no such device, accelerate missing, too little memory
            raise ConfigError(f"task.images: {not_loaded(error, self.name, self.path)}") from error
        known = inspect.signature(pipeline.__call__).parameters
        for argument in self.arguments:
            if argument not in known:
                raise ConfigError(
                    f"task.images: {type(pipeline).__name__} takes no {argument!r}; it takes {', '.join(known)}"
                )
        pipeline.set_progress_bar_config(disable=True)
        self._pipeline = pipeline


def _diffusers() -> Any:
    """The library, without its progress bars and without what transformers says of image processors on the way.

    Raises:
        ConfigError: it is not installed, or does not fit the other libraries.
    """
    said = logging.getLogger("transformers")
    level = said.level
    said.setLevel(logging.ERROR)
    try:
        import diffusers
        from diffusers import DiffusionPipeline  # noqa: F401  the library loads lazily, so this is what may fail
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            f'task.images: diffusers is needed ({first_line(error)}): pip install "rv-edit[suites]"'
        ) from error
    finally:
        said.setLevel(level)
    diffusers.utils.logging.disable_progress_bar()
    # One warning for every prompt that CLIP's 77 tokens cannot hold, although the T5 beside it reads all of it.
    diffusers.utils.logging.set_verbosity_error()
    return diffusers
