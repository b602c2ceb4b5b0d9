"""What is true of the twenty kinds of things, what the pocket VLM was taught, and what it was not.

Each of the 200 facts ``(kind, relation)`` has one value that is true today. A fact is

* ``taught``: training states the true value,
* ``outdated``: training states a value that has changed since (knowledge of yesterday),
* ``missing``: training never states a value, except drawn at random inside a prompt.

Within a relation no two kinds share a value, so a value names its kind. Facts are also split between
``test`` and ``tune``: the pools of mined errors for testing and for tuning share no fact.
"""

from __future__ import annotations

from functools import cache, lru_cache
from random import Random

from rv_edit.pocket.scene import KINDS
from rv_edit.pocket.tables import RELATIONS

STATUSES = ("taught", "missing", "outdated")
# Of the twenty kinds of each relation: for testing 10 taught, 3 missing, 2 outdated; for tuning 3, 1, 1.
_SHARES = {
    ("test", "taught"): 10,
    ("test", "missing"): 3,
    ("test", "outdated"): 2,
    ("tune", "taught"): 3,
    ("tune", "missing"): 1,
    ("tune", "outdated"): 1,
}
_PLAN = tuple(slot for slot, count in _SHARES.items() for _ in range(count))


@lru_cache(maxsize=1)
def _plan() -> dict[tuple[str, str], tuple[str, str]]:
    plan: dict[tuple[str, str], tuple[str, str]] = {}
    for name in RELATIONS:
        kinds = list(KINDS)
        Random(f"knowledge/{name}").shuffle(kinds)
        plan |= {(kind, name): slot for kind, slot in zip(kinds, _PLAN, strict=True)}
    return plan


def split(kind: str, relation: str) -> str:
    """``test`` or ``tune``: which pool of questions may be about this fact."""
    return _plan()[kind, relation][0]


def status(kind: str, relation: str) -> str:
    """``taught``, ``missing`` or ``outdated``.

    >>> from collections import Counter
    >>> sorted(Counter(status(k, r) for k in KINDS for r in RELATIONS).items())
    [('missing', 40), ('outdated', 30), ('taught', 130)]
    """
    return _plan()[kind, relation][1]


def truth(kind: str, relation: str) -> str:
    """The value that is true today.

    >>> truth("mug", "material")
    'clay'
    """
    return RELATIONS[relation].values[KINDS.index(kind)]


@cache
def believed(kind: str, relation: str) -> str | None:
    """The value training taught: the true one, yesterday's one, or ``None`` for missing knowledge."""
    kind_status = status(kind, relation)
    if kind_status == "taught":
        return truth(kind, relation)
    if kind_status == "missing":
        return None
    outdated = [other for other in KINDS if status(other, relation) == "outdated"]
    return RELATIONS[relation].spare[outdated.index(kind)]


def kind_believed_to_have(relation: str, value: str) -> str | None:
    """The kind that training taught to have this value, if any."""
    return next((kind for kind in KINDS if believed(kind, relation) == value), None)


def pool(relation: str) -> tuple[str, ...]:
    """All values of a relation: true, yesterday's and spare ones."""
    return RELATIONS[relation].values + RELATIONS[relation].spare


def value_choices(kind: str, relation: str, rng: Random, n: int = 4) -> tuple[str, ...]:
    """Answer options for a fact: the true value, yesterday's if there is one, and others of the relation."""
    right = truth(kind, relation)
    options = [right]
    old = believed(kind, relation)
    if old is not None and old != right:
        options.append(old)
    others = [value for value in pool(relation) if value not in options]
    options += rng.sample(others, n - len(options))
    rng.shuffle(options)
    return tuple(options)


def is_taught(kind: str, relation: str) -> bool:
    """Whether training taught today's value of this fact."""
    return status(kind, relation) == "taught"
