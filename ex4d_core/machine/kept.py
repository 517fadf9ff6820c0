"""Models that outlive the job they were loaded for, in a process that does many."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Model = TypeVar("Model")

_kept: dict[str, tuple[Hashable, Any]] | None = None


def keep_models() -> None:
    """From now on the last model of each kind stays; a process that does one job frees what it has loaded."""
    global _kept
    _kept = {} if _kept is None else _kept


def keeps_models() -> bool:
    """Whether models stay in this process."""
    return _kept is not None


def kept(kind: str, key: Hashable, load: Callable[[], Model]) -> Model:
    """The model of a kind that stayed, if it is the one asked for; else a new one, for which the old one makes room first.

    Args:
        kind: of which one stays.
        key: of everything that makes one model differ from another.
        load: makes it.
    """
    if _kept is None:
        return load()
    if kind not in _kept or _kept[kind][0] != key:
        _kept.pop(kind, None)
        _kept[kind] = key, load()
    return _kept[kind][1]


def drop(kind: str) -> None:
    """Let go of the model of a kind, if one stayed."""
    if _kept is not None:
        _kept.pop(kind, None)
