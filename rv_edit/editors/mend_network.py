"""MEND's transforms: from the factors of a gradient to the factors of an update (paper D.3; Mitchell et al., 2021).

The gradient of a linear layer's weight is a sum of outer products, one a token: what the layer read, x, times the
gradient of what it gave, δ. Matrices of one shape share a network that maps (x, δ), normalised, to (x̃, δ̃). It starts
as the identity, so that an untrained MEND makes a step of gradient descent on the normalised factors::

    W ← W − α Σ_t δ̃_t x̃_tᵀ

with a learnt α per matrix. The sign is that of the paper; where it is written with a plus, training has to find it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from rv_edit.errors import ConfigError

Factors = Mapping[str, tuple[Tensor, Tensor]]
"""Name of a linear layer -> x (R, d_in) and δ (R, d_out) of R tokens, fp32."""


class LowRankLayer(nn.Module):
    """z = U V x + b, scaled and shifted per matrix; out = max(z, 0) + x. The identity at first.

    Args:
        dim: width.
        rank: of U V.
        matrices: how many matrices share the layer.
    """

    def __init__(self, dim: int, rank: int, matrices: int) -> None:
        super().__init__()
        rank = min(rank, dim)
        self.u = nn.Parameter(torch.zeros(dim, rank))
        self.v = nn.Parameter(torch.randn(rank, dim) / dim**0.5)
        self.bias = nn.Parameter(torch.zeros(dim))
        self.scale = nn.Parameter(torch.ones(matrices, dim))
        self.shift = nn.Parameter(torch.zeros(matrices, dim))

    def forward(self, inputs: Tensor, matrix: int) -> Tensor:
        """(R, dim) to (R, dim) for the matrix of this number."""
        z = (inputs @ self.v.T) @ self.u.T + self.bias
        z = z * self.scale[matrix] + self.shift[matrix]
        return z.clamp(min=0) + inputs  # unlike relu, clamp has a gradient at 0, where z starts


class Transform(nn.Module):
    """The shared network of all matrices of one shape.

    Args:
        d_in: width of x.
        d_out: width of δ.
        matrices: how many matrices have this shape.
        rank: most ranks of a layer.
        layers: of the network.
    """

    def __init__(self, d_in: int, d_out: int, matrices: int, rank: int, layers: int) -> None:
        super().__init__()
        self.d_in = d_in
        width = d_in + d_out
        self.layers = nn.ModuleList(LowRankLayer(width, rank, matrices) for _ in range(layers))
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    @torch.no_grad()
    def measure(self, factors: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Take mean and deviation of each dimension from the factors of the edits that are trained on."""
        seen = torch.cat([torch.cat(pair, dim=-1) for pair in factors])
        self.mean.copy_(seen.mean(dim=0))
        self.deviation.copy_(seen.std(dim=0, correction=0).clamp(min=torch.finfo(seen.dtype).tiny ** 0.5))

    def forward(self, x: Tensor, delta: Tensor, matrix: int) -> tuple[Tensor, Tensor]:
        """X (R, d_in) and δ (R, d_out) to x̃ and δ̃; tokens of which one is all zero are left out."""
        told = (x != 0).any(dim=-1) & (delta != 0).any(dim=-1)
        out = (torch.cat([x[told], delta[told]], dim=-1) - self.mean) / self.deviation
        for layer in self.layers:
            out = layer(out, matrix)
        return out[:, : self.d_in], out[:, self.d_in :]


class Transforms(nn.Module):
    """A transform for each shape among some matrices, and a learnt step size for each matrix.

    Args:
        shapes: name of a matrix -> (d_out, d_in).
        rank: most ranks of a layer.
        layers: of each network.
        step: the step sizes at first.
        seed: of the random parts.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, int]], rank: int, layers: int, step: float, seed: int) -> None:
        super().__init__()
        if rank < 1 or layers < 1 or not step > 0:
            raise ConfigError(f"editor.network: rank={rank}, layers={layers} (at least 1), step={step} (above 0)")
        self.shapes = dict(shapes)
        alike = {shape: [name for name in shapes if shapes[name] == shape] for shape in shapes.values()}
        self.place = {name: alike[shape].index(name) for name, shape in shapes.items()}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.by_shape = nn.ModuleDict(
                {_key(shape): Transform(shape[1], shape[0], len(names), rank, layers) for shape, names in alike.items()}
            )
        self.steps = nn.Parameter(torch.full((len(shapes),), step))

    def measure(self, edits: Iterable[Factors]) -> None:
        """Normalise by the factors of these edits from now on."""
        edits = list(edits)
        for key, transform in self.by_shape.items():
            assert isinstance(transform, Transform)
            names = [name for name, shape in self.shapes.items() if _key(shape) == key]
            transform.measure([edit[name] for edit in edits for name in names])

    def update(self, factors: Factors) -> dict[str, Tensor]:
        """What to add to each matrix, (d_out, d_in) fp32, with gradients to the transforms."""
        out: dict[str, Tensor] = {}
        for number, (name, shape) in enumerate(self.shapes.items()):
            x, delta = self.by_shape[_key(shape)](*factors[name], self.place[name])
            out[name] = -self.steps[number] * torch.einsum("to,ti->oi", delta, x)
        return out


def _key(shape: tuple[int, int]) -> str:
    return f"{shape[0]}x{shape[1]}"
