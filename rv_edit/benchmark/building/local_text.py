"""Texts from a language model on this machine, by ``transformers``.

One text at a time, since only so does it depend on its own seed and on nothing else. For thousands of edits, serve the
model with vLLM or the like and take ``task/text=openai``.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any

from data_modules.hub_errors import not_loaded
from data_modules.qa_record import QARecord
from rv_edit.benchmark.building.memory import free_memory
from rv_edit.benchmark.building.openai_reply import CUT_OFF
from rv_edit.benchmark.building.requests import StoppedError, TextReply, TextRequest, UnusableError
from rv_edit.benchmark.building.settings import whole
from rv_edit.errors import ConfigError
from rv_edit.vlm import resolve_checkpoint


class TransformersText:
    """A :class:`~rv_edit.benchmark.building.requests.TextProvider` from a causal language model.

    Args:
        name: folder or hub id.
        revision: of a hub id.
        dtype: of the weights, as ``torch`` names it.
        device: where it runs; ``None``: a GPU where there is one.
        max_new_tokens: most tokens a text has.
        temperature, top_p: of the sampling; temperature 0: greedy.
        template: further variables of the chat template, such as ``enable_thinking: false``.

    Raises:
        ConfigError: no such folder, or a number that nothing can be sampled with.
    """

    concurrency = 1
    runs_here = True

    def __init__(
        self,
        name: str,
        *,
        revision: str | None = None,
        dtype: str = "bfloat16",
        device: str | None = None,
        max_new_tokens: int = 1024,
        temperature: float = 1.0,
        top_p: float = 1.0,
        template: Mapping[str, Any] | None = None,
    ) -> None:
        whole("task.text.max_new_tokens", max_new_tokens, 1)
        if not 0 <= _number(temperature) < math.inf:
            raise ConfigError(f"task.text.temperature={temperature}: give a number of at least 0 (the likeliest words)")
        if not 0 < _number(top_p) <= 1:
            raise ConfigError(f"task.text.top_p={top_p}: give a number above 0 and up to 1")
        self.name, self.revision, self.dtype, self.device = name, revision, dtype, device
        self.max_new_tokens, self.temperature, self.top_p = max_new_tokens, temperature, top_p
        self.template = dict(template or {})
        self.path = resolve_checkpoint(name)
        self.about = {
            "kind": "transformers",
            "model": name,
            "revision": revision,
            "dtype": dtype,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "template": self.template,
        }
        self._loaded: tuple[Any, Any] | None = None

    def refuses(self, record: QARecord) -> str | None:
        """Nothing: a language model writes about any data set."""
        return None

    def load(self) -> None:
        """Load model and tokenizer, unless they are there.

        Raises:
            ConfigError: they cannot be loaded.
        """
        self._load()

    def ask(self, request: TextRequest, stop: threading.Event) -> TextReply:
        """One sampled text; see :class:`~rv_edit.benchmark.building.requests.TextProvider`.

        Raises:
            ConfigError: the model cannot be loaded, or does not fit into memory.
        """
        if stop.is_set():
            raise StoppedError
        import torch

        model, tokenizer = self._load()
        ids = self._prompt(tokenizer, request.prompt).to(model.device)
        sampling: dict[str, Any] = {"do_sample": False}
        if self.temperature > 0:
            sampling = {"do_sample": True, "temperature": self.temperature, "top_p": self.top_p, "top_k": 0}
        devices = [model.device.index or 0] if model.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.no_grad():
            torch.manual_seed(request.seed)
            try:
                out = model.generate(
                    ids,
                    attention_mask=torch.ones_like(ids),
                    max_new_tokens=self.max_new_tokens,
                    pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0,
                    **sampling,
                )
            except torch.OutOfMemoryError as error:
                raise ConfigError(
                    f"task.text: {self.name} does not fit into memory; take a smaller one, or task/text=openai"
                ) from error
        new = out[0, ids.shape[1] :].tolist()
        ends = model.generation_config.eos_token_id
        stops = set(ends if isinstance(ends, list) else [ends])
        if len(new) >= self.max_new_tokens and not stops & set(new):
            raise UnusableError(CUT_OFF)
        return TextReply(tokenizer.decode(new, skip_special_tokens=True).strip(), int(ids.shape[1]), len(new))

    def release(self) -> None:
        """Drop the model."""
        self._loaded = None
        free_memory()

    def _prompt(self, tokenizer: Any, text: str) -> Any:
        """(1, L) ids: the prompt as a user's turn where the model has a chat template, else as it stands."""
        if getattr(tokenizer, "chat_template", None):
            turns = [{"role": "user", "content": text}]
            text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **self.template)
            return tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        return tokenizer(text, return_tensors="pt")["input_ids"]

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer

            dtype = getattr(torch, self.dtype, None)
            if not isinstance(dtype, torch.dtype):
                raise ConfigError(f"task.text.dtype={self.dtype}: no dtype of torch; give bfloat16 or float32")
            try:
                tokenizer = AutoTokenizer.from_pretrained(self.path, revision=self.revision)
                model = AutoModelForCausalLM.from_pretrained(self.path, revision=self.revision, dtype=dtype)
                device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
                self._loaded = model.eval().to(device), tokenizer
            except Exception as error:  # files missing or damaged, no such device, too little memory
                raise ConfigError(f"task.text.name: {not_loaded(error, self.name, self.path)}") from error
        return self._loaded


def _number(value: Any) -> float:
    """``value`` where it is a number, else one that nothing admits."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
