"""A whole edit and its questions on a device that is not the CPU, the codebook there as the trainer puts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from rv_edit.augment import ImageAugmenter, RadiusEstimator
from rv_edit.benchmark import error_chains, mine
from rv_edit.codebook import Codebook
from rv_edit.editors.answering import Asking
from rv_edit.editors.reasonedit import ReasonEdit
from rv_edit.embedding import DualEmbedding, KeySpace, TextEncoder, calibrate
from rv_edit.evidence import EvidenceSelector
from rv_edit.tasks.measuring import measure_balance, measure_layers
from rv_edit.tasks.networks import Pools, build_network
from rv_edit.topology import Layout
from rv_edit.vlm import VLM, load_vlm
from tests.editors.conftest import make_edit, question
from tests.run.tiny_data import picture, record
from tests.vlm.pretended import Pretended, clear, place

GPU = "cuda:0"
SPACE = KeySpace(layer=1, lam=1.0, vision_norm=1.0, text_norm=1.0)
OPTIONS = ({"gate": "none"}, {"gate": "percentile", "merge": "either"}, {"gate": "calibrated", "hubness": True})


@pytest.fixture
def own(vlm_folder: Path) -> Iterator[VLM]:
    """A model of this file's own, whose weights may say they are elsewhere."""
    vlm = load_vlm(str(vlm_folder))
    yield vlm
    clear(vlm.model)


def edited(vlm: VLM, encoder: TextEncoder, where: str, **options: Any) -> dict[str, Any]:
    """Twelve edits, one undone, and questions; the codebook moves to ``where`` and back, as for a trainer."""
    embedding = DualEmbedding(vlm, encoder, SPACE)
    book = Codebook(embedding.dim, embedding.fingerprint, **options)
    editor = ReasonEdit(
        embedding,
        book,
        RadiusEstimator(embedding, ImageAugmenter(), variants=2),
        EvidenceSelector(vlm, grid=2, threshold=0.0),
        asking=Asking(batch_size=4, image_batch_size=3),
    )
    editor.calibrate([question(index) for index in range(5)])
    book.to(where)
    receipts = [editor.edit(make_edit(index)) for index in range(12)]
    editor.undo("edit3")
    questions = [make_edit(index).as_question() for index in range(12)] + [question(index) for index in range(3)]
    answers = editor.answer(questions)
    assert str(book.keys.device) == where
    book.to("cpu")
    again = editor.answer(questions)
    return {
        "keys": [(receipt.keys_added, receipt.keys_merged, receipt.evidence) for receipt in receipts],
        "checksum": editor.checksum(),
        "answers": answers,
        "again": again,
    }


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(map(str, options.values())))
def test_edits_and_answers(own: VLM, encoder_folder: Path, options: dict[str, Any]) -> None:
    """Same bytes, same answers; keys and queries are fp32 on the CPU until they meet the codebook."""
    encoder = TextEncoder(encoder_folder)
    expected = edited(own, encoder, "cpu", **options)
    assert expected["answers"] == expected["again"]
    place(own.model, GPU)
    there = TextEncoder(encoder_folder)
    place(there._model, GPU)
    with Pretended():
        assert edited(own, there, GPU, **options) == expected


def test_a_large_codebook_is_searched_where_it_is() -> None:
    """Beyond the keys that are compared one by one, and with a histogram of distances."""

    def found(where: str) -> list[Any]:
        generator = torch.Generator().manual_seed(0)
        book = Codebook(8, {}, exact_keys=300, merge="off").to(where)
        for number in range(40):
            keys = torch.randn(10, 8, generator=generator)
            book.insert(f"e{number}", keys, [f"{number} {n}" for n in range(10)], [0.1] * 10, ["reasoning"] * 10)
        return [book.retrieve(torch.randn(50, 8, generator=generator)), book.checksum(), str(book.keys.device)]

    *plain, here = found("cpu")
    with Pretended():
        *moved, there = found(GPU)
    assert moved == plain and (here, there) == ("cpu", GPU)


def test_mining_chains_and_measures(own: VLM, encoder_folder: Path) -> None:
    """What comes before edits: mined errors, chains of error, a calibrated key space, the measures of a network."""
    encoder = TextEncoder(encoder_folder)
    layout = Layout(pairs=2, variants=1, anchors=1, around=1)
    pools = Pools(tuple(f"Fact {n}." for n in range(8)), tuple(picture(n) for n in range(20, 30)))
    network = build_network([record(index) for index in range(2)], layout, pools, None, seed=0)
    images = network.open(ImageAugmenter(tile_pool=list(pools.pictures)), seed=0)

    def found() -> list[Any]:
        mined = mine(own, [record(index) for index in range(6)], batch_size=4)
        chains = error_chains(own, [make_edit(index) for index in range(3)])
        space = calibrate(own, encoder, [(picture(n), f"What is {n}?") for n in range(3)], layer=1, lam=1.0)
        grid = torch.tensor([0.5, 2.0])
        balance = measure_balance(own, encoder, space, grid, network, images, batch_size=4)
        return [mined, chains, space, measure_layers(own, network, images, 4).tolist(), balance.tolist()]

    expected = found()
    place(own.model, GPU)
    with Pretended():
        assert found() == expected
