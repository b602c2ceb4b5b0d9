"""Finding the visual evidence of facts (paper 3.2 and C, Visual Evidence Patchification)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from PIL import Image

from data_modules.records import Box, RecordError
from rv_edit.errors import ConfigError
from rv_edit.evidence.crops import check_crops, cut, short
from rv_edit.evidence.patches import SHAPES, Patch, grid_patches
from rv_edit.vlm.prompts import PromptTooLongError

if TYPE_CHECKING:
    from rv_edit.vlm import VLM, ImageFeatures


@dataclass(frozen=True)
class Candidate:
    """What the VLM says of one patch and one fact.

    Attributes:
        patch: the rectangle.
        p_yes: probability of yes against no, that the patch shows the fact.
        relevance: log-likelihood of the fact given the patch, a token (nats); ``None`` where the patch was dropped.
    """

    patch: Patch
    p_yes: float
    relevance: float | None = None


@dataclass(frozen=True)
class Evidence:
    """The evidence of one fact.

    Attributes:
        fact: the sentence.
        boxes: its crops, in pixels; none where nothing was found.
        crops: the place of each box in :attr:`EvidenceSet.boxes`.
        source: ``user`` (given), ``found``, or ``none``.
        candidates: all patches considered, none for crops of the user.
    """

    fact: str
    boxes: tuple[Box, ...]
    crops: tuple[int, ...]
    source: Literal["user", "found", "none"]
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True)
class EvidenceSet:
    """The evidence of all facts of an edit.

    Attributes:
        facts: one entry a fact, in order.
        boxes: the distinct crops of all facts.
        images: their pixels, RGB.
        features: what the VLM sees in them, a row a crop, pooled at the layers asked for; ``None`` without crops.
    """

    facts: tuple[Evidence, ...]
    boxes: tuple[Box, ...] = ()
    images: tuple[Image.Image, ...] = ()
    features: ImageFeatures | None = field(default=None, repr=False)


class EvidenceSelector:
    """Finds the patches of a picture that show a fact, for all facts of an edit at once.

    Each patch is encoded once, whatever the number of facts. Then, for each fact: (1) patches are kept whose
    probability of yes exceeds ``threshold`` under ``show_prompt``; (2) the relevance of a kept patch is the
    log-likelihood of the fact as answer to ``describe_prompt``, a token; (3) the evidence is the most relevant kept
    patch together with the most relevant one among the smallest kept ones. Ties go to the earlier patch. Crops that the
    user gives for a fact replace all three steps for it.

    Args:
        vlm: the edited model.
        show_prompt: yes/no question with ``{fact}``, into which the fact goes without its closing full stop.
        describe_prompt: what the fact's likelihood is measured under.
        threshold: least probability of yes, exclusive.
        grid: cells a side.
        shapes: rows × columns of the patches.
        by_orientation: leave wide patches out on landscape and tall ones on portrait pictures.
        max_aspect: leave out longer slivers.
        batch_size: patch–fact pairs scored together.
        image_batch_size: patches encoded together.

    Raises:
        ConfigError: a prompt without ``{fact}``, or a value out of range.
    """

    def __init__(
        self,
        vlm: VLM,
        show_prompt: str = "Does the image show {fact}?",
        describe_prompt: str = "Describe this image.",
        threshold: float = 0.5,
        grid: int = 3,
        shapes: Sequence[tuple[int, int]] = SHAPES,
        by_orientation: bool = True,
        max_aspect: float = 50.0,
        batch_size: int = 128,
        image_batch_size: int = 64,
    ) -> None:
        if "{fact}" not in show_prompt:
            raise ConfigError(f"evidence: show_prompt={show_prompt!r} has no {{fact}} in it; say where the fact goes")
        if not 0.0 <= threshold < 1.0 or min(batch_size, image_batch_size) < 1:
            raise ConfigError(
                f"evidence: threshold={threshold}, batch_size={batch_size}, image_batch_size={image_batch_size}; "
                "give a probability below 1, and batches of at least 1"
            )
        grid_patches(1, 1, grid, shapes)  # says now, not at the first edit, that they are no grid
        self.vlm = vlm
        self.show_prompt = show_prompt
        self.describe_prompt = describe_prompt
        self.threshold = threshold
        self.grid = grid
        self.shapes = tuple((int(rows), int(columns)) for rows, columns in shapes)
        self.by_orientation = by_orientation
        self.max_aspect = max_aspect
        self.batch_size = batch_size
        self.image_batch_size = image_batch_size

    def __call__(
        self,
        image: Image.Image,
        facts: Sequence[str],
        user_crops: Mapping[int, Sequence[Box]] | None = None,
        edit_id: str = "?",
        pool_layers: Sequence[int] = (),
        pool: str = "mean",
    ) -> EvidenceSet:
        """The evidence of ``facts`` in ``image``.

        Args:
            image: the decoded picture.
            facts: sentences; none gives an empty set.
            user_crops: index of a fact -> crops in pixels. A fact with none there, or with an empty list, is looked
                for.
            edit_id: for messages.
            pool_layers: vision blocks whose pooled output ``features`` should hold, so that keys need no pass of
                their own.
            pool: ``mean | last``.

        Raises:
            RecordError: a crop cannot be used, a fact is empty or too long, or the VLM returns numbers that are not
                finite. The message names edit and fact.
        """
        for index, fact in enumerate(facts):
            if not fact.strip():
                raise RecordError(f"edit {edit_id}, fact {index}: is empty; write a sentence or leave it out")
        given = check_crops(user_crops or {}, facts, image.size, edit_id)
        image = image.convert("RGB")
        wanted = [index for index in range(len(facts)) if index not in given]
        patches = self._patches(image.size) if wanted else []
        asked = [patch.box for patch in patches] + [box for crops in given.values() for box in crops]
        boxes = list(dict.fromkeys(asked))
        images = [cut(image, box) for box in boxes]
        features = self.vlm.encode_images(images, tuple(pool_layers), pool, self.image_batch_size) if boxes else None
        found: dict[int, tuple[Candidate, ...]] = {}
        if features is not None and patches:
            found = self._candidates(features.pick(range(len(patches))), patches, facts, wanted, edit_id)
        chosen: list[tuple[Box, ...]] = []
        for index in range(len(facts)):
            chosen.append(given[index] if index in given else _best(found.get(index, ())))
        used = list(dict.fromkeys(box for crop in chosen for box in crop))
        place = {box: at for at, box in enumerate(used)}
        rows = [boxes.index(box) for box in used]
        entries = tuple(
            Evidence(
                fact,
                chosen[index],
                tuple(place[box] for box in chosen[index]),
                "user" if index in given else "found" if chosen[index] else "none",
                found.get(index, ()),
            )
            for index, fact in enumerate(facts)
        )
        kept = features.pick(rows) if features is not None and rows else None
        return EvidenceSet(entries, tuple(used), tuple(images[row] for row in rows), kept)

    def _patches(self, size: tuple[int, int]) -> list[Patch]:
        return grid_patches(*size, self.grid, self.shapes, self.by_orientation, self.max_aspect)

    def _candidates(
        self,
        features: ImageFeatures,
        patches: Sequence[Patch],
        facts: Sequence[str],
        wanted: Sequence[int],
        edit_id: str,
    ) -> dict[int, tuple[Candidate, ...]]:
        """Steps 1 and 2 for the facts ``wanted``, a feature row a patch."""
        try:
            sure = self._p_yes(features, [facts[index] for index in wanted])
        except PromptTooLongError as error:
            longest = max(wanted, key=lambda index: len(facts[index]))
            where = f"edit {edit_id}, fact {longest} ({short(facts[longest])})"
            raise RecordError(
                f"{where}: {len(facts[longest])} characters are too long for {self.vlm.name}; shorten it, or crop its "
                "evidence yourself"
            ) from error
        kept = {
            (row, index): probability[row] > self.threshold
            for index, probability in zip(wanted, sure, strict=True)
            for row in range(len(patches))
        }
        relevance = self._relevance(features, facts, [pair for pair, keep in kept.items() if keep])
        found: dict[int, tuple[Candidate, ...]] = {}
        for index, probability in zip(wanted, sure, strict=True):
            found[index] = tuple(
                Candidate(patch, probability[row], relevance.get((row, index))) for row, patch in enumerate(patches)
            )
            numbers = [*probability, *(item.relevance for item in found[index] if item.relevance is not None)]
            if not all(math.isfinite(number) for number in numbers):
                where = f"edit {edit_id}, fact {index} ({short(facts[index])})"
                raise RecordError(f"{where}: {self.vlm.name} returns numbers that are not finite; check its precision")
        return found

    def _p_yes(self, features: ImageFeatures, facts: Sequence[str]) -> list[list[float]]:
        """Probability of yes, fact by fact: a list over the patches. Every patch is asked about every fact."""
        prompts = [self.vlm.format_prompt(self.show_prompt.replace("{fact}", _as_phrase(fact))) for fact in facts]
        pairs = [(row, at) for row in range(len(features)) for at in range(len(prompts))]
        rows = features.pick([row for row, _ in pairs])
        logp = self.vlm.yes_no(rows, [prompts[at] for _, at in pairs], batch_size=self.batch_size)
        sure = logp.double().softmax(dim=1)[:, 0].view(len(features), len(prompts))
        return [list(map(float, column)) for column in sure.T.tolist()]

    def _relevance(
        self, features: ImageFeatures, facts: Sequence[str], pairs: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], float]:
        """Log-likelihood a token of fact ``index`` given patch ``row``, for pairs ``(row, index)``."""
        prompt = self.vlm.format_prompt(self.describe_prompt)
        by_row: dict[int, list[int]] = {}
        for row, index in pairs:
            by_row.setdefault(row, []).append(index)
        rows = list(by_row)
        scored = self.vlm.score(
            features.pick(rows),
            [prompt] * len(rows),
            [[facts[index] for index in by_row[row]] for row in rows],
            batch_size=self.batch_size,
        )
        return {
            (row, index): float(total) / tokens
            for row, scores in zip(rows, scored, strict=True)
            for index, total, tokens in zip(by_row[row], scores.logp, scores.n_tokens, strict=True)
        }


def select_evidence(
    vlm: VLM,
    image: Image.Image,
    facts: str | Sequence[str],
    user_crops: Mapping[int, Sequence[Box]] | None = None,
    edit_id: str = "?",
) -> EvidenceSet:
    """:class:`EvidenceSelector` with its defaults, for one fact or several."""
    return EvidenceSelector(vlm)(image, [facts] if isinstance(facts, str) else facts, user_crops, edit_id)


def _best(candidates: Sequence[Candidate]) -> tuple[Box, ...]:
    """Step 3: the most relevant kept patch, and the most relevant of the smallest kept ones."""
    kept = [item for item in candidates if item.relevance is not None]
    if not kept:
        return ()
    smallest = min(item.patch.cells for item in kept)
    # max() takes the first of equals
    best = max(kept, key=lambda item: item.relevance or 0.0)
    local = max((item for item in kept if item.patch.cells == smallest), key=lambda item: item.relevance or 0.0)
    return tuple(dict.fromkeys((best.patch.box, local.patch.box)))


def _as_phrase(fact: str) -> str:
    """A fact as it stands inside a question: on one line, without its full stop."""
    return " ".join(fact.split()).rstrip(".!? ") or fact
