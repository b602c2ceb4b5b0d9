"""A module whose state may have any size: buffers grow or shrink to what is loaded, and nothing is loaded in part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from torch import Tensor, nn

from rv_edit.errors import ConfigError

EXTRA = "_extra_state"
_Self = TypeVar("_Self", bound="SizedState")


class SizedState(nn.Module):
    """Loads a state whole, by :meth:`take_state`, or leaves the module as it was and says why.

    Attributes:
        state_called: what messages call the contents.
        buffers_kept: names of the state besides its extra part; their dtypes outlast casts of the module.
        others: whether a state may hold further names.
    """

    state_called: ClassVar[str]
    buffers_kept: ClassVar[tuple[str, ...]] = ()
    others: ClassVar[bool] = False

    def take_state(self, tensors: Mapping[str, Tensor], extra: Any) -> None:
        """Replace the contents.

        Args:
            tensors: the state by the module's own names, without its extra part.
            extra: what ``get_extra_state`` returned.

        Raises:
            ConfigError: they do not fit; nothing was changed.
        """
        raise NotImplementedError

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Take a state of any size. A part of a state is never loaded alone."""
        own = {name.removeprefix(prefix): value for name, value in state_dict.items() if name.startswith(prefix)}
        wanted = (*self.buffers_kept, EXTRA)
        missing = [prefix + name for name in wanted if name not in own]
        if strict:
            missing_keys += missing
            unexpected_keys += [prefix + name for name in own if name not in wanted and not self.others]
        if missing:
            if len(missing) < len(wanted):
                error_msgs.append(f"{self.state_called}: the state lacks {', '.join(missing)}; it was left as it was")
            return
        extra = own.pop(EXTRA)
        try:
            self.take_state(own if self.others else {name: own[name] for name in self.buffers_kept}, extra)
        except ConfigError as error:
            error_msgs.append(str(error))

    def _apply(self: _Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> _Self:
        """Moves between devices hold, casts do not: keys in bf16 would be other keys."""
        kept = {name: getattr(self, name) for name in self.buffers_kept}
        super()._apply(fn, recurse)
        for name, tensor in kept.items():
            moved = getattr(self, name)
            if moved.dtype != tensor.dtype:
                setattr(self, name, tensor.to(moved.device))
        return self
