"""The interface of every VLM, and what a family has to supply.

A family is one file of this package with one subclass of :class:`VLM`: it names its ``config.model_type`` and supplies
``default_style``, ``vision_blocks`` and ``image_rows``; and, where its shapes or files differ, ``prefix`` (how pictures
enter the language model), ``merger_modules``, ``merger_dim``, ``merger_reads_text``, ``split_tokens``, ``lm_inputs``,
``position_axes``, ``picture_length``, ``preprocess`` and ``load_processor``. Everything else is generic;
``docs/adding_a_vlm.md`` adds one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from rv_edit.errors import ConfigError
from rv_edit.vlm import layers, scoring
from rv_edit.vlm.decoding import HookContext
from rv_edit.vlm.features import ImageFeatures, ImageRow, LayerRef
from rv_edit.vlm.prompts import Prompt, PromptEncoder, PromptStyle, Target
from rv_edit.vlm.scoring import Generated, Scores
from rv_edit.vlm.sequences import Prefix


class VLM(ABC):
    """A frozen vision-language model that scores answers, embeds pictures and writes text.

    Attributes:
        name: What it was loaded from.
        fingerprint: Hash of configuration and weights as loaded (:func:`rv_edit.vlm.fingerprint.of_model`).
        preprocessing: Hash of the image processor's settings.
        model, processor, tokenizer: The ``transformers`` objects; ``model`` is in eval mode, without gradients.
        prompts: Its :class:`PromptEncoder`, which holds the prompt style.
        batch_tokens: Most tokens, padding and pictures included, that a pass of the language model keeps keys and
            values of; ``None``: only numbers of rows bound a batch. It bounds memory: see docs/real_checkpoints.md.
        hook_context: While the language model runs, what the pass is about; else ``None``.
    """

    model_types: ClassVar[tuple[str, ...]] = ()
    """The values of ``config.model_type`` that this family reads."""
    default_style: ClassVar[PromptStyle]
    merger_reads_text: ClassVar[bool] = False
    """Whether the prompt reaches the merger, as it does a Q-Former."""
    position_axes: ClassVar[tuple[int, ...]] = ()
    """Leading dimensions of position ids: none, or ``(3,)`` for rotary positions of three axes."""

    def __init__(
        self,
        model: Any,
        processor: Any,
        style: PromptStyle,
        *,
        name: str,
        fingerprint: str,
        preprocessing: str,
        batch_tokens: int | None = None,
    ) -> None:
        if batch_tokens is not None and batch_tokens < 1:
            raise ConfigError(f"batch_tokens={batch_tokens}: give at least 1, or null")
        self.model = model
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.name, self.fingerprint, self.preprocessing = name, fingerprint, preprocessing
        self.text_config = model.config.get_text_config()
        max_tokens = getattr(self.text_config, "max_position_embeddings", None)
        self.prompts = PromptEncoder(self.tokenizer, style.rendered(processor), max_tokens)
        self.batch_tokens = batch_tokens
        self.hook_context: HookContext | None = None

    # --- what a family supplies ---------------------------------------------------------------------------------

    @classmethod
    def load_processor(cls, name: str, revision: str | None) -> Any:
        """Tokenizer and image processor of a checkpoint.

        The PIL backend is pinned: another one gives other pixels, hence other codebook keys, on another machine.
        """
        from transformers import AutoProcessor

        return AutoProcessor.from_pretrained(name, revision=revision, backend="pil")

    @abstractmethod
    def vision_blocks(self) -> nn.ModuleList:
        """The transformer blocks of the vision tower, in order."""

    @abstractmethod
    def image_rows(self, pixels: Mapping[str, Tensor]) -> list[ImageRow]:
        """One vision pass: what each picture gives to the language model."""

    def prefix(self, feats: ImageFeatures, prompts: Sequence[Prompt]) -> list[Prefix]:
        """Input of the language model for each picture and prompt, unpadded.

        As it is here, for pictures whose tokens do not depend on the prompt: see :meth:`place`.
        """
        encoded = self.prompts.encode(prompts)
        return [
            self.place(prompt, ids, row.tokens, self.prompts.image_id)
            for row, prompt, ids in zip(feats.rows, prompts, encoded, strict=True)
        ]

    def place(self, prompt: Prompt, ids: Sequence[int], picture: Tensor, key: Hashable) -> Prefix:
        """The prompt ``ids`` with its place holder widened to the ``picture``'s tokens (N, d).

        Without a place holder the picture stands first. ``key`` stands for each of its tokens, see :class:`Prefix`;
        positions count on from 0.

        Raises:
            PromptTooLongError: more tokens than the model has positions for.
        """
        holder = self.prompts.image_id
        at, after = (0, 0) if holder is None else (ids.index(holder), ids.index(holder) + 1)
        keys = (*ids[:at], *([key] * len(picture)), *ids[after:])
        self.prompts.check_length(len(keys), prompt)
        left, right = self.embed_tokens(ids[:at]), self.embed_tokens(ids[after:])
        embeds = torch.cat([left, picture.to(left.device, left.dtype), right])
        return Prefix(keys, embeds, torch.arange(len(keys), device=left.device), len(keys))

    def picture_length(self, row: ImageRow) -> int:
        """Tokens that a picture takes up in the language model, about."""
        return len(row.tokens)

    def merger_modules(self) -> list[nn.Module]:
        """What turns vision tokens into language tokens: a projector, or the layers of a Q-Former."""
        return []

    def split_tokens(self, hidden: Tensor, pixels: Mapping[str, Tensor], layer: LayerRef) -> Tensor | list[Tensor]:
        """A vision or merger output per picture: ``(B, N, d)`` as it is, or a list where pictures are packed."""
        return hidden

    def lm_inputs(self, extra: Mapping[str, Tensor]) -> dict[str, Any]:
        """Further arguments of the language model, from a batch's ``extra`` (B, L, …)."""
        return {}

    def preprocess(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """Pixels as the checkpoint's own image processor makes them, on the model's device."""
        rgb = [image if image.mode == "RGB" else image.convert("RGB") for image in images]
        pixels = self.processor.image_processor(images=rgb, return_tensors="pt")
        return {name: value.to(self.device) for name, value in pixels.items() if isinstance(value, Tensor)}

    # --- parts of the model -------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device = next(self.model.parameters()).device
        assert isinstance(device, torch.device)
        return device

    @property
    def decoder(self) -> nn.Module:
        """The language model's backbone, which ends in its final norm."""
        decoder = self.model.get_decoder()
        assert isinstance(decoder, nn.Module)
        return decoder

    @property
    def num_vision_layers(self) -> int:
        """Number of vision blocks."""
        return len(self.vision_blocks())

    @property
    def vision_dim(self) -> int:
        """Width of the vision blocks."""
        return int(self.model.config.vision_config.hidden_size)

    @property
    def merger_dim(self) -> int:
        """Width of :meth:`merger_modules`' outputs."""
        return int(self.text_config.hidden_size)

    @property
    def vocab_size(self) -> int:
        """Number of logits."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    @property
    def eos_ids(self) -> frozenset[int]:
        """Tokens that end a generation."""
        eos = getattr(self.model.generation_config, "eos_token_id", None)
        eos = self.tokenizer.eos_token_id if eos is None else eos
        return frozenset(eos if isinstance(eos, list | tuple) else [] if eos is None else [eos])

    def to(self, device: torch.device | str) -> VLM:
        """Move the model; features made before follow by ``feats.to(device)``."""
        self.model.to(device)
        return self

    def lm_layers(self) -> nn.ModuleList:
        """The decoder layers."""
        found = self.decoder.layers
        assert isinstance(found, nn.ModuleList)
        return found

    def final_mlp(self) -> nn.Module:
        """The feed-forward block of the last decoder layer, which editors change."""
        mlp = self.lm_layers()[-1].mlp
        assert isinstance(mlp, nn.Module)
        return mlp

    def final_norm(self) -> nn.Module:
        """What the last decoder layer's output passes before the head."""
        norm = self.decoder.norm
        assert isinstance(norm, nn.Module)
        return norm

    def final_mlp_paths(self) -> tuple[str, ...]:
        """Full names of the linear layers of :meth:`final_mlp`, as LoRA's ``target_modules`` wants them."""
        inside = {id(module) for module in self.final_mlp().modules() if isinstance(module, nn.Linear)}
        return tuple(name for name, module in self.model.named_modules() if id(module) in inside)

    def layer_refs(self) -> tuple[LayerRef, ...]:
        """Every hidden layer: vision blocks, merger, decoder layers."""
        return layers.layer_refs(self)

    def head(self, hidden: Tensor) -> Tensor:
        """(…, V) fp32 logits of hidden states (…, d)."""
        logits: Tensor = self.model.get_output_embeddings()(hidden)
        return logits.float()

    def embed_tokens(self, ids: Sequence[int]) -> Tensor:
        """(L, d) input embeddings of text tokens."""
        tokens = torch.tensor(list(ids), dtype=torch.long, device=self.device)
        embeds: Tensor = self.model.get_input_embeddings()(tokens)
        return embeds

    def new_cache(self) -> Any:
        """An empty cache of keys and values."""
        from transformers import DynamicCache

        decoder: Any = self.decoder
        return DynamicCache(config=decoder.config)

    # --- pictures -----------------------------------------------------------------------------------------------

    def encode_images(
        self, images: Sequence[Image.Image], pool_layers: Sequence[int] = (), pool: str = "mean", batch_size: int = 16
    ) -> ImageFeatures:
        """Features of pictures, for any number of prompts; one vision pass, whatever is pooled on the way.

        ``.pooled[layer]`` is (B, dv) fp32: mean over all tokens of a vision block's output, a class token included
        (method: "mean over its tokens"), or its last token.
        """
        return layers.encode_images(self, images, pool_layers, pool, batch_size)

    def embed_vision(
        self, images: Sequence[Image.Image], layer: int, pool: str = "mean", batch_size: int = 16
    ) -> Tensor:
        """(B, dv) fp32 pooled output of one vision block; the blocks behind it do not run (paper 3.3, h_l)."""
        return layers.embed_vision(self, images, layer, pool, batch_size)

    def embed_layers(
        self,
        images: Sequence[Image.Image],
        texts: Sequence[str],
        refs: Sequence[LayerRef] | None = None,
        pool: str = "mean",
        batch_size: int = 16,
    ) -> dict[LayerRef, Tensor]:
        """(B, D) fp32 per layer for B pairs of picture and text, all from one forward pass of each part.

        A text is put as a question (``format_prompt``) unless it is a :class:`Prompt`. Decoder layers are seen before
        the final norm and pooled over picture and text tokens. A picture given several times (the same object, as in
        the M×M cross product of paper 3.3) passes the vision tower once.
        """
        return layers.embed_layers(self, images, texts, refs, pool, batch_size)

    # --- answers ------------------------------------------------------------------------------------------------

    def format_prompt(self, question: str, facts: Sequence[str] = ()) -> Prompt:
        """The question as this model wants it, the facts before it in the user's turn (paper 3.2)."""
        return self.prompts.format(question, facts)

    def score(
        self,
        feats: ImageFeatures,
        prompts: Sequence[Prompt],
        candidates: Sequence[Sequence[str]],
        normalize: str = "sum",
        batch_size: int = 16,
        share_images: bool = True,
    ) -> list[Scores]:
        """Log-probabilities of candidate answers (paper D.1): per prompt its picture and its own candidates.

        Args:
            feats: One row a prompt; ``feats.pick`` repeats rows.
            prompts: From :meth:`format_prompt`.
            candidates: Any number per prompt, of any length, duplicates allowed.
            normalize: ``sum`` over an answer's tokens, their ``mean``, or the ``first_token`` alone.
            batch_size: Largest number of rows of a forward pass.
            share_images: Read what prompts over one picture begin with once. Off for hooks that change it per prompt.

        Raises:
            PromptTooLongError: a prompt with more tokens than the model has positions.
        """
        return scoring.score(self, feats, prompts, candidates, normalize, batch_size, share_images)

    def score_shared(
        self, feats: ImageFeatures, pairs: Sequence[tuple[Prompt, str]], batch_size: int = 16
    ) -> tuple[Tensor, Tensor]:
        """Summed log-probability and token count, each (P,) on the CPU, of (prompt, answer) pairs over one picture.

        The picture and what the prompts begin with are read once; equal prompts are read once.
        """
        if len(feats) != 1:
            raise ValueError(f"score_shared takes one picture, not {len(feats)}")
        prompts = list(dict.fromkeys(prompt for prompt, _ in pairs))
        answers: dict[Prompt, list[str]] = {prompt: [] for prompt in prompts}
        for prompt, answer in dict.fromkeys(pairs):
            answers[prompt].append(answer)
        feats = feats.pick([0] * len(prompts))
        scores = self.score(feats, prompts, list(answers.values()), batch_size=batch_size)
        found = {
            (prompt, answer): (value, length)
            for prompt, score in zip(prompts, scores, strict=True)
            for answer, value, length in zip(answers[prompt], score.logp, score.n_tokens, strict=True)
        }
        values = [found[pair] for pair in pairs]
        return torch.tensor([value for value, _ in values]), torch.tensor([length for _, length in values]).long()

    def next_token_logp(self, feats: ImageFeatures, prompts: Sequence[Prompt], batch_size: int = 16) -> Tensor:
        """(B, V) fp32 log-probabilities of the token after each prompt."""
        return scoring.next_token_logp(self, feats, prompts, None, batch_size)

    def yes_no(self, feats: ImageFeatures, prompts: Sequence[Prompt], batch_size: int = 16) -> Tensor:
        """(B, 2) fp32 log-probabilities of yes and of no among all tokens; a softmax over the two is the caller's.

        Of words of several tokens the first one counts.
        """
        return scoring.next_token_logp(self, feats, prompts, self.prompts.yes_no_ids, batch_size)

    def nll(self, feats: ImageFeatures, prompts: Sequence[Prompt], targets: Sequence[Target]) -> Tensor:
        """(B,) fp32 summed −log p of each target after its prompt, with gradients to whatever requires them.

        A target may be an answer and the text that follows it. No batching: the whole of it is one graph.
        """
        return scoring.nll(self, feats, prompts, targets)

    def generate(
        self, feats: ImageFeatures, prompts: Sequence[Prompt], max_new_tokens: int = 16, batch_size: int = 16
    ) -> list[Generated]:
        """Greedy answers: the new text alone, without special tokens or surrounding blanks, and whether each ended."""
        return scoring.generate(self, feats, prompts, max_new_tokens, batch_size)
