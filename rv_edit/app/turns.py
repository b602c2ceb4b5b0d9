"""One model, several threads: they take turns at its forward passes, in the order in which they ask.

A pass leaves hooks and caches in the model while it runs, so two at once would disturb each other. Turns are taken pass
by pass, so that an edit, which needs several, does not keep questions waiting until it is through.
"""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rv_edit.editors.reasonedit import ReasonEdit

PASSES = (
    "encode_images", "embed_vision", "embed_layers", "score", "score_shared", "next_token_logp", "yes_no", "generate",
)  # fmt: skip
"""The methods of a VLM that run it."""


class Turns:
    """A lock that who waits longest gets next; a thread that has it may take it again."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[tuple[threading.Event, int]] = deque()
        self._owner: int | None = None
        self._depth = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Have the model for a block."""
        me = threading.get_ident()
        turn: threading.Event | None = None
        with self._guard:
            if self._owner in (None, me) and not (self._owner is None and self._waiting):
                self._owner, self._depth = me, self._depth + 1
            else:
                turn = threading.Event()
                self._waiting.append((turn, me))
        if turn is not None:
            turn.wait()  # handed over by whoever had it
        try:
            yield
        finally:
            with self._guard:
                self._depth -= 1
                if not self._depth:
                    self._owner = None
                    if self._waiting:
                        following, self._owner = self._waiting.popleft()
                        self._depth = 1
                        following.set()

    def wrap(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """``method``, run while having the model."""

        @functools.wraps(method)
        def taking_a_turn(*args: Any, **options: Any) -> Any:
            with self():
                return method(*args, **options)

        return taking_a_turn


def share_between_threads(editor: ReasonEdit) -> Turns:
    """Make every pass of the editor's model and sentence encoder take a turn; once is enough for a model."""
    vlm: Any = editor.vlm
    encoder: Any = editor.embedding.text_encoder
    known = getattr(vlm, "turns", None)
    if isinstance(known, Turns):
        return known
    turns = vlm.turns = Turns()
    for name in PASSES:
        setattr(vlm, name, turns.wrap(getattr(vlm, name)))
    encoder.encode = turns.wrap(encoder.encode)
    return turns
