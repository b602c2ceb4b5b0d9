"""The text half of a key: a frozen sentence encoder behind a cache, so that each text is encoded once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from data_modules.hub_errors import first_line, hub_reason
from data_modules.records import RecordError
from rv_edit.errors import ConfigError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def _as_loaded(tokenizer: Tokenizer) -> str:
    """A tokenizer as text, without the padding and truncation that its last call left behind."""
    fresh = Tokenizer.from_str(tokenizer.to_str())
    fresh.no_padding()
    fresh.no_truncation()
    return str(fresh.to_str())


class TextEncoder:
    """A frozen sentence-transformers model, s(t) of paper 3.3.

    Two ways to encode, each with a cache of its own. ``exact=True`` (the default, for keys) sends one unpadded
    text through the model at a time: the last bits of a matrix product depend on the shape of its batch, so only
    this makes a key independent of what shared its batch or was cached before, and the same edits give a
    byte-equal codebook also after a resume. ``exact=False`` (for queries) batches texts of similar length; its
    results differ from the exact ones by less than 1e-5 and are several times cheaper.

    Args:
        name_or_folder: a folder, a ``package://`` address of weights that ship with the project, or a hub id.
            A hub id is taken from the local cache where it is there; only otherwise is the hub asked.
        device: where the model runs. Embeddings are returned, and cached, on the CPU.
        batch_size: texts a forward pass with ``exact=False``.
        cache_size: texts kept, per cache; the least recently used go first.

    Raises:
        ConfigError: nothing that sentence-transformers can load is there.

    Texts longer than the encoder's own limit are cut by its tokenizer, as sentence-transformers does; characters that
    no file could hold become ``?``.
    """

    def __init__(
        self,
        name_or_folder: str | Path,
        device: str | torch.device = "cpu",
        batch_size: int = 64,
        cache_size: int = 100_000,
    ) -> None:
        if batch_size < 1 or cache_size < 1:
            raise ConfigError(f"text encoder: batch_size={batch_size}, cache_size={cache_size}; give at least 1 each")
        self.name = str(name_or_folder)
        self.batch_size = batch_size
        self._model = _load(self.name, str(device))
        self._exact: _Cache = _Cache(cache_size)
        self._batched: _Cache = _Cache(cache_size)

    @cached_property
    def dim(self) -> int:
        """Width ds of an embedding."""
        return int(self._forward([""]).shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, layout and tokenizer: encoders with the same one give the same embeddings."""
        digest = hashlib.sha256()
        for module in self._model:
            digest.update(type(module).__name__.encode())
            settings: dict[str, object] = getattr(module, "get_config_dict", dict)()
            digest.update(repr(sorted((key, repr(value)) for key, value in settings.items())).encode())
        digest.update(repr((self._model.get_max_seq_length(), self._model.prompts)).encode())
        tokenizer = self._model.tokenizer
        fast = getattr(tokenizer, "backend_tokenizer", None)
        digest.update((_as_loaded(fast) if fast is not None else repr(sorted(tokenizer.get_vocab().items()))).encode())
        for name, value in sorted(self._model.state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()[:16]

    def encode(self, texts: Sequence[str], exact: bool = True) -> Tensor:
        """Embed ``texts``, each distinct one at most once in the life of the cache.

        Args:
            texts: any number of sentences; also empty or repeated.
            exact: one text a forward pass, byte-equal whatever else is asked; ``False``: batched.

        Returns:
            (B, ds) fp32 on the CPU, in the order of ``texts``; (0, ds) for none.

        Raises:
            RecordError: an embedding is not finite.
        """
        cache = self._exact if exact else self._batched
        found: dict[str, Tensor] = {}
        missing: list[str] = []
        for text in dict.fromkeys(texts):
            known = cache.get(text)
            if known is None:
                missing.append(text)
            else:
                found[text] = known
        # by length, so that little is padded; the text itself breaks ties, so the order of asking does not matter
        missing.sort(key=lambda text: (len(text), text))
        step = 1 if exact else self.batch_size
        for start in range(0, len(missing), step):
            batch = missing[start : start + step]
            for text, vector in zip(batch, self._forward([_valid(text) for text in batch]), strict=True):
                if not bool(torch.isfinite(vector).all()):
                    raise RecordError(f"text {text[:60]!r}: encoder {self.name} returns numbers that are not finite")
                found[text] = vector.clone()
                cache.put(text, found[text])
        return torch.stack([found[text] for text in texts]) if texts else torch.empty(0, self.dim)

    def forget(self) -> None:
        """Empty both caches, as a measurement wants them."""
        for cache in (self._exact, self._batched):
            cache.clear()

    def _forward(self, batch: list[str]) -> Tensor:
        """(B, ds) fp32 on the CPU."""
        with torch.inference_mode():
            embedded = self._passed(batch) if len(batch) == 1 and self._direct else self._encoded(batch)
        return embedded.to("cpu", torch.float32).clone()

    @property
    def _direct(self) -> bool:
        """Whether :meth:`_passed` does all that the library's ``encode`` would do."""
        model = self._model
        return hasattr(model, "preprocess") and getattr(model, "truncate_dim", None) is None

    def _passed(self, batch: list[str]) -> Tensor:
        """The library's own pass without its bookkeeping, which for one short text takes as long as the pass."""
        model: Any = self._model
        if model.training:
            model.eval()
        name = model.default_prompt_name
        features = model.preprocess(batch, prompt=None if name is None else model.prompts.get(name))
        device = model.device
        placed = {key: value.to(device) if isinstance(value, Tensor) else value for key, value in features.items()}
        embedded: Tensor = model(placed)["sentence_embedding"]
        return embedded

    def _encoded(self, batch: list[str]) -> Tensor:
        """As the library's documentation has it."""
        return self._model.encode(batch, batch_size=len(batch), convert_to_tensor=True, show_progress_bar=False)


class _Cache:
    """The ``size`` texts used last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[str, Tensor] = OrderedDict()

    def get(self, text: str) -> Tensor | None:
        entry = self._entries.get(text)
        if entry is not None:
            self._entries.move_to_end(text)
        return entry

    def clear(self) -> None:
        self._entries.clear()

    def put(self, text: str, vector: Tensor) -> None:
        self._entries[text] = vector
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)


def _valid(text: str) -> str:
    """``text`` with halves of surrogate pairs (a cut emoji) as ``?``, on which every tokenizer stops otherwise."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _load(name: str, device: str) -> SentenceTransformer:
    """Load from the resolved address, never from the network where a local copy exists."""
    # imported late: it takes seconds, which help and configuration errors need not wait for
    from sentence_transformers import SentenceTransformer

    from rv_edit.vlm.loading import resolve_checkpoint

    address = str(resolve_checkpoint(name))

    def build(local: bool) -> SentenceTransformer:
        # Weights stored in half precision are computed with in full: keys must not depend on what a CPU is quick at.
        options = {"dtype": torch.float32}
        return SentenceTransformer(address, device=device, local_files_only=local, model_kwargs=options)

    if Path(address).is_dir():
        if not (Path(address) / "modules.json").is_file():
            # sentence-transformers would make up a pooling of its own
            raise ConfigError(f"text encoder {name}: no modules.json in {address}; give a sentence-transformers folder")
        model = _attempt(lambda: build(True), name)
    elif name.startswith((".", "/", "~")) or "://" in name:
        raise ConfigError(f"text encoder {name}: no such folder; give a sentence-transformers folder or a hub id")
    else:
        from huggingface_hub import constants

        try:
            model = build(True)
        except (OSError, ValueError):  # not in the local cache
            model = _attempt(lambda: build(constants.HF_HUB_OFFLINE), name)
    return model.eval().requires_grad_(False)


def _attempt(build: Callable[[], SentenceTransformer], name: str) -> SentenceTransformer:
    try:
        return build()
    except Exception as error:  # the library raises anything from KeyError to SafetensorError on a broken folder
        if (reason := hub_reason(error, name)) is not None:
            raise ConfigError(f"text encoder {name}: cannot be loaded: {reason}") from error
        local = Path(name).is_dir() or "://" in name
        raise ConfigError(
            f"text encoder {name}: cannot be loaded ({first_line(error)}); "
            + ("get its folder anew" if local else f"where there is a network, get it with: hf download {name}")
        ) from error
