"""The public sets that can be brought in, by the names that the command takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from ...errors import Cancelled, EX4DError
from ..benchmark.cases import write_index
from . import dycheck, kubric, multicam, nvidia, v2m4
from .views import LACKING, PublicCase, Wanted, write_case

KINDS: dict[str, Callable[[Path], Iterator[PublicCase]]] = {
    "dycheck": dycheck.cases,
    "nvidia": nvidia.cases,
    "kubric": kubric.cases,
    "multicam": multicam.cases,
    "v2m4": v2m4.cases,
}


def bring_in(
    kind: str,
    folder: Path,
    output: Path,
    wanted: Wanted,
    *,
    names: set[str] | None = None,
    progress: Callable[[str], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> list[str]:
    """Write a set from a public one; a case at a time is in memory.

    Args:
        kind: one of `KINDS`.
        folder: of the public set, of some of its scenes, or of one.
        output: folder that is there.
        wanted: which frames, at which size.
        names: of the cases that are taken; None = all.
        progress: called with each case's name before it is read.
        cancel: polled once a frame.

    Returns:
        What truth the set does not have, a sentence each.

    Raises:
        EX4DError: no scene there, one that is damaged, or a name that no case has.
        Cancelled: ``cancel`` returned True.
    """
    done: dict[str, list[str]] = {}
    lacking: dict[str, list[str]] = {}
    for case in _chosen(kind, folder, names, wanted):
        if cancel is not None and cancel():
            raise Cancelled
        if progress is not None:
            progress(case.name)
        lacks = write_case(case, output / case.name, wanted, cancel=cancel)
        done[case.name] = [view.name for view in case.targets]
        for sentence in lacks.told():
            lacking.setdefault(sentence, []).append(case.name)
    missing = [f"{sentence}: {', '.join(lacking[sentence])}" for sentence in LACKING if sentence in lacking]
    if kind == "v2m4":
        missing.append("no cameras: every clip is compared with itself, from where it was filmed")
    write_index(output, kind, done, missing)
    return missing


def _chosen(kind: str, folder: Path, names: set[str] | None, wanted: Wanted) -> list[PublicCase]:
    """The cases that are taken, before any picture is read; refuses what would fail later.

    Raises:
        EX4DError: no scene there, one that is damaged, a name that no case or more than one has, or one with too few frames.
    """
    there = list(KINDS[kind](folder.absolute()))
    chosen = [case for case in there if names is None or case.name in names]
    counts = Counter(case.name for case in chosen)
    unknown = sorted((names or set()) - set(counts))
    if unknown or not chosen:
        known = ", ".join(case.name for case in there) or "none"
        raise EX4DError(f"'{folder}' has no case '{', '.join(unknown)}'; it has {known}.")
    name, count = counts.most_common(1)[0]
    if count > 1:
        raise EX4DError(
            f"'{folder}' has {count} cases called '{name}'. Bring them in one after the other, or rename one."
        )
    for case in chosen:
        wanted.frames(case)
    return chosen
