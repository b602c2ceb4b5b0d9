"""How well an embedding space matches the topology that retrieval wants (paper 3.3, appendix A): pure functions.

Nodes are picture–text pairs, edges their similarity. Everything takes leading dimensions, so that all layers,
poolings and networks of a model are measured in one call, and computes in fp64 on the device of its input::

    weights = similarity_network(embeddings)              # (..., n, D) -> (..., n, n)
    modularity(weights, groups)                           # (...,)
    embedding_modularity(embeddings, groups)              # the same, without holding n × n numbers a layer
    measures(embeddings, layout)                          # the five measures of the paper
"""

from rv_edit.topology.bias import language_bias, vision_bias
from rv_edit.topology.layout import Layout, Measures, measures
from rv_edit.topology.modularity import embedding_modularity, modularity
from rv_edit.topology.network import mean_distance, pairwise_distances, similarity, similarity_network
from rv_edit.topology.sample import (
    SampleModularity,
    bimodal_partition,
    language_partition,
    over_networks,
    sample_modularity,
    vision_partition,
)
from rv_edit.topology.selection import Balance, balance, harmonic_mean, highest, log_grid

__all__ = [
    "Balance",
    "Layout",
    "Measures",
    "SampleModularity",
    "balance",
    "bimodal_partition",
    "embedding_modularity",
    "harmonic_mean",
    "highest",
    "language_bias",
    "language_partition",
    "log_grid",
    "mean_distance",
    "measures",
    "modularity",
    "over_networks",
    "pairwise_distances",
    "sample_modularity",
    "similarity",
    "similarity_network",
    "vision_bias",
    "vision_partition",
]
