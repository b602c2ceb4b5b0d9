"""``python benchmarks/topology_cost.py``: measuring every layer of a model, our way against the plain way.

Both get the same networks of the same data set in the same run. The plain way runs the whole model once a node and
layer and hands the network to networkx; what it takes for all of it is extrapolated from a sample, which the answer
states. Seconds are those of the processor, so that a busy machine changes little. Equal values are asserted three
times: every layer of a small network from beginning to end, the sampled nodes, and the sampled networks. Peak memory is
that of processes of their own. The figures go to a JSON file.

The plain way pays once a layer, so the ratio grows with depth: ``--depth 24 32`` gives the model as many vision and
language layers as LLaVA-1.5-7B has, with random weights.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import plain_topology as plain

MIB = 1024.0  # ru_maxrss counts KiB


def make_study(model: str, dataset: str, pairs: int, networks: int, overrides: list[str]) -> Any:
    """The study as ``python run.py task=topology`` makes it, without a cache."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from rv_edit.cli import conf_dir
    from rv_edit.tasks.study import Study
    from rv_edit.tasks.topology_options import TopologyOptions

    given = ["task=topology", f"model={model}", f"dataset={dataset}", f"task.pairs={pairs}", "cache=null", "output=out"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", overrides=[*given, f"task.networks={networks}", *overrides])
    OmegaConf.resolve(cfg)
    return Study(cfg, TopologyOptions.of(cfg), "cpu")


def deepened(name: str, vision: int, language: int, folder: Path) -> Path:
    """A model like the shipped ``name`` with so many layers and random weights, saved in ``folder``."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    from rv_edit.vlm.loading import resolve_checkpoint

    source = Path(resolve_checkpoint(f"package://rv_edit.pocket/weights/{name.removeprefix('pocket_')}"))
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors", "key_space.json"))
    config = AutoConfig.from_pretrained(folder)
    config.vision_config.num_hidden_layers, config.text_config.num_hidden_layers = vision, language
    torch.manual_seed(0)
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    return folder


def measure(study: Any, network: Any, images: list[Any]) -> tuple[torch.Tensor, float]:
    """(layers, poolings, 5) our way, and the seconds it took."""
    from rv_edit.tasks.measuring import measure_layers

    started = time.process_time()
    found = measure_layers(study.vlm, network, images, study.options.batch_size)
    return found, time.process_time() - started


def layout_of(network: Any) -> tuple[int, int, int, int]:
    """What the plain measures are told of the order of nodes."""
    layout = network.layout
    return layout.pairs, layout.variants, layout.anchors, layout.around


def check_small(args: argparse.Namespace) -> float:
    """A small network from beginning to end both ways; the greatest difference of any measure of any layer."""
    few = ["task.anchors=2", "task.around=2", "task.figures=null"]
    study = make_study(args.model, args.dataset, 3, 1, [*few, *args.overrides])
    (network,) = study.layer_networks[3]
    images = network.open(study.augmenter, study.options.seed)
    ours, _ = measure(study, network, images)
    worst = 0.0
    for place, ref in enumerate(study.vlm.layer_refs()):
        nodes = [
            plain.layer_of_node(study.vlm, ref, image, text) for image, text in zip(images, network.texts, strict=True)
        ]
        points = np.stack(nodes, axis=1)
        for which in range(2):
            expected = np.array(plain.measures(points[which], *layout_of(network)))
            worst = max(worst, float(np.abs(ours[place, which].numpy() - expected).max()))
    assert worst < args.tolerance, f"the ways differ by {worst:.2g} on a small network"
    return worst


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """Time both ways on the networks of the full study."""
    from rv_edit.vlm import probe_layers

    study = make_study(args.model, args.dataset, args.pairs, args.networks, args.overrides)
    refs, networks = study.vlm.layer_refs(), study.layer_networks[args.pairs]
    started = time.process_time()
    opened = [network.open(study.augmenter, study.options.seed) for network in networks]
    opening = time.process_time() - started
    measure(study, networks[0], opened[0])  # whatever is set up once
    found, seconds = zip(*(measure(study, *item) for item in zip(networks, opened, strict=True)), strict=True)
    network, images = networks[0], opened[0]
    nodes = network.layout.nodes
    sampled = np.random.default_rng(0).choice(nodes, min(args.nodes, nodes), replace=False)
    embedded = probe_layers(study.vlm, images, network.texts, batch_size=study.options.batch_size)
    plain.layer_of_node(study.vlm, refs[0], images[0], network.texts[0])
    forward, apart = 0.0, 0.0
    for ref in refs:
        scale = float(embedded[ref].norm(dim=-1).mean())
        for node in sampled:
            started = time.process_time()
            states = plain.layer_of_node(study.vlm, ref, images[node], network.texts[node])
            forward += time.process_time() - started
            apart = max(apart, float(np.abs(states - embedded[ref][:, node].numpy()).max()) / scale)
    graphs, worst = 0.0, 0.0
    for place in np.linspace(0, len(refs) - 1, args.graphs).astype(int):
        points = embedded[refs[place]][0].double().numpy()
        started = time.process_time()
        expected = plain.measures(points, *layout_of(network))
        graphs += time.process_time() - started
        worst = max(worst, float(np.abs(found[0][place, 0].numpy() - np.array(expected)).max()))
    assert apart < args.tolerance, f"the ways' embeddings differ by {apart:.2g} of their norm"
    assert worst < args.tolerance, f"the ways' measures differ by {worst:.2g}"
    a_forward, a_graph = forward / (len(sampled) * len(refs)), graphs / args.graphs
    passes, tables = len(networks) * nodes * len(refs), len(networks) * len(refs) * 2
    total = passes * a_forward + tables * a_graph
    return {
        "model": args.model,
        "dataset": args.dataset,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} thread(s), torch {torch.__version__}",
        "pairs": args.pairs,
        "networks": len(networks),
        "nodes": nodes,
        "layers": len(refs),
        "pictures_seconds": opening,
        "ours_seconds": sum(seconds),
        "plain_seconds_extrapolated": total,
        "ratio": total / sum(seconds),
        "plain_sample": {
            "forward_passes": len(sampled) * len(refs),
            "of": passes,
            "seconds_each": a_forward,
            "measured_networks": args.graphs,
            "of_networks": tables,
            "seconds_each_network": a_graph,
        },
        "greatest_difference": {"embeddings_share_of_norm": apart, "measures": worst},
    }


def memory(args: argparse.Namespace) -> float:
    """MiB by which the peak of this process grows while one network of ``args.pairs`` pairs is measured."""
    study = make_study(args.model, args.dataset, args.pairs, 1, args.overrides)
    (network,) = study.layer_networks[args.pairs]
    images = network.open(study.augmenter, study.options.seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    measure(study, network, images)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / MIB


def memories(args: argparse.Namespace, layers: int) -> list[dict[str, Any]]:
    """Peaks for several sizes, each in a process of its own, and what all networks at once would take."""
    found = []
    for pairs in args.memory_pairs:
        command = [sys.executable, __file__, "--model", args.model, "--dataset", args.dataset, "--pairs", str(pairs)]
        done = subprocess.run([*command, "--memory", *args.overrides], capture_output=True, text=True, check=True)
        nodes = pairs * pairs + pairs * (pairs - 1)
        dense = layers * 2 * nodes * nodes * 8 / MIB / MIB
        peak = float(done.stdout.splitlines()[-1])
        found.append({"pairs": pairs, "nodes": nodes, "peak_mib": peak, "all_networks_mib": dense})
    return found


def main() -> None:
    """Compare, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pocket_llava")
    parser.add_argument("--dataset", default="pocket_aokvqa")
    parser.add_argument("--pairs", type=int, default=20, help="M")
    parser.add_argument("--networks", type=int, default=10, help="N")
    parser.add_argument("--nodes", type=int, default=12, help="nodes the plain way reads in every layer")
    parser.add_argument("--graphs", type=int, default=2, help="networks the plain way measures")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--memory-pairs", type=int, nargs="*", default=[10, 20, 30])
    parser.add_argument(
        "--depth", type=int, nargs=2, metavar=("VISION", "LANGUAGE"), help="layers, with random weights"
    )
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("outputs/topology_cost.json"))
    parser.add_argument("overrides", nargs="*", help="further options of run.py")
    args = parser.parse_args()
    torch.set_num_threads(1)  # several threads that wait for each other count as busy
    if args.memory:
        print(memory(args))
        return
    with tempfile.TemporaryDirectory() as folder:
        if args.depth:
            place = deepened(args.model, *args.depth, Path(folder) / "deep")
            args.overrides = [f"model.vlm.name={place}", *args.overrides]
        small = check_small(args)
        found = {"depth": args.depth, **compare(args)}
        found["greatest_difference"]["small_network_from_end_to_end"] = small
        found["memory"] = memories(args, found["layers"])
    args.out.parent.mkdir(parents=True, exist_ok=True)
    staged = args.out.with_suffix(".tmp")
    staged.write_text(json.dumps(found, indent=2) + "\n")
    os.replace(staged, args.out)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
