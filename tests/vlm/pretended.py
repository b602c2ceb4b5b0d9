"""Devices that are not there: tensors on the CPU that say they are elsewhere, and operations that insist on it.

Inside :class:`Pretended`, a tensor says it is on the device it was sent to or made on, and an operation on tensors of
two devices fails as it would on GPUs. All numbers are computed on the CPU, so results can be compared bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Where = str
GET = torch.Tensor.__getitem__, torch.Tensor.__setitem__  # an index may be on the CPU
DEVICE, SET_DATA = torch.Tensor.device.__get__, torch.Tensor.data.__set__
ACROSS = (torch.Tensor.copy_, SET_DATA, torch.Tensor.to, torch.Tensor.type_as)


def label(tensor: Tensor) -> Where:
    """Where a tensor says it is: on the CPU unless it was sent away, or made elsewhere."""
    return getattr(tensor, "_pretended", "cpu")


def put(tensor: Tensor, where: Where) -> None:
    """Let a tensor say it is somewhere."""
    tensor._pretended = where  # type: ignore[attr-defined]


def place(module: nn.Module, where: Where) -> None:
    """Let all weights and buffers of a module be somewhere."""
    for tensor in [*module.parameters(), *module.buffers()]:
        put(tensor, where)


def clear(module: nn.Module) -> None:
    """Back to where they really are."""
    for tensor in [*module.parameters(), *module.buffers()]:
        put(tensor, "cpu")


def tensors(values: Any) -> Iterator[Tensor]:
    """All tensors in nested arguments."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, dict):
        for value in values.values():
            yield from tensors(value)
    elif isinstance(values, (tuple, list)):
        for value in values:
            yield from tensors(value)


def as_device(value: Any) -> Where | None:
    """A device among the arguments of ``Tensor.to``."""
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, str):
        return str(torch.device(value))
    return label(value) if isinstance(value, Tensor) else None


class Pretended(TorchFunctionMode):
    """While it is entered, devices are pretended. ``sent`` counts tensors that were moved, by where to."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[Where, int] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func == DEVICE:  # made anew at each access, hence equal, never the same
            return torch.device(label(args[0]))
        target: Where | None = None
        if given.get("device") is not None:
            target = as_device(given["device"])
            given["device"] = "cpu"
        elif func is torch.Tensor.to:
            target = next((found for value in args[1:] if (found := as_device(value)) is not None), None)
            args = tuple(torch.device("cpu") if isinstance(value, (torch.device, str)) else value for value in args)
        elif func in (torch.Tensor.cpu, torch.Tensor.numpy):
            if func is torch.Tensor.numpy and label(args[0]) != "cpu":
                raise TypeError(f"can't convert {label(args[0])} device type tensor to numpy")
            target = "cpu"
        own = self._common(func, args, given)
        out = func(*args, **given)
        if func == SET_DATA:
            put(args[0], label(args[1]))
            return out
        if target is not None and target != own and next(tensors(args), None) is not None:
            self.sent[target] = self.sent.get(target, 0) + 1
            if any(out is value for value in args[:1]):
                out = out.detach()  # `.to` gives the tensor itself where it is there already: not here
        for tensor in tensors(out):
            put(tensor, target or own)
        return out

    @staticmethod
    def _common(func: Callable[..., Any], args: Any, given: dict[str, Any]) -> Where:
        """The device of the arguments, of which a number may be on the CPU anywhere."""
        mine = list(tensors([args, given]))
        if func in ACROSS:
            return label(mine[0])
        found = {label(tensor) for tensor in mine if tensor.dim()}
        if func in GET and len(found) > 1:
            found -= {"cpu"}
        if len(found) > 1:
            name = getattr(func, "__name__", str(func))
            raise RuntimeError(f"Expected all tensors to be on the same device, but {name} got {sorted(found)}")
        return next(iter(found or {label(tensor) for tensor in mine}), "cpu")


def spread(module: nn.Module, parts: dict[str, Where]) -> list[Any]:
    """Place parts by name and move what each of them is called with there, as ``accelerate`` does.

    Returns:
        Handles to remove.
    """

    def send(values: Any, where: Where) -> Any:
        if isinstance(values, Tensor):
            return values.to(where)
        if isinstance(values, dict):
            return {name: send(value, where) for name, value in values.items()}
        if isinstance(values, (tuple, list)):
            return type(values)(send(value, where) for value in values)
        return values

    handles = []
    for name, where in parts.items():
        part = module.get_submodule(name)
        place(part, where)

        def hook(_module: nn.Module, args: Any, kwargs: Any, where: Where = where) -> Any:
            return send(args, where), send(kwargs, where)

        handles.append(part.register_forward_pre_hook(hook, with_kwargs=True))
    return handles
