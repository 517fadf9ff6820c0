"""Trackers that are networks: their code from a local checkout, their weights from a local file; nothing is downloaded.

CoTracker3 (facebookresearch/co-tracker, CC-BY-NC 4.0) is the paper's; TAPIR and TAPNext (google-deepmind/tapnet) are Apache-2.0,
code and weights.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
import torch

from ...errors import Cancelled, EX4DError
from ...machine.memory import out_of_memory
from ...storage.digest import sha256_of
from .tracks import Tracker, TrackerFailed, Tracks

LearnedName = Literal["cotracker", "tapir", "tapnext"]
LEARNED: tuple[LearnedName, ...] = get_args(LearnedName)
_MODULES: dict[str, tuple[str, str]] = {
    "cotracker": ("facebookresearch/co-tracker", "cotracker.predictor"),
    "tapir": ("google-deepmind/tapnet", "tapnet.torch.tapir_model"),
    "tapnext": ("google-deepmind/tapnet", "tapnet.tapnext.tapnext_torch"),
}
"""Name -> the repository, and what is imported from it."""


def load_tracker(
    name: LearnedName, checkout: str | Path, weights: str | Path, device: torch.device | str = "cpu"
) -> Tracker:
    """A tracker whose network is on a device.

    Args:
        name: of it.
        checkout: folder of its repository, whose code is run.
        weights: its file: .pth, .pt, or for TAPNext also the .npz that it was published as.
        device: where it computes.

    Raises:
        EX4DError: another folder or file, or code that does not load here. What the tracker returned raises is `TrackerFailed`,
            where it is not `Cancelled` or for want of memory.
    """
    repository, module = _MODULES[name]
    file = Path(checkout, *module.split(".")).with_suffix(".py")
    if not file.is_file():
        raise EX4DError(
            f"'{checkout}' is no checkout of {repository}: it has no {module.replace('.', '/')}.py. Clone it with git."
        )
    check_weights(name, weights)
    beside = importlib.import_module(f".{name}", __package__)
    with loading(name, checkout, weights):
        network = beside.build(import_from(checkout, module), Path(weights))
        track = beside.follower(network.to(device).eval().requires_grad_(False), torch.device(device))
    return following(track, name, weights)


def identity(name: LearnedName, weights: str | Path) -> str:
    """What tells a tracker from another one: its name, and name, size and digest of its file.

    Raises:
        EX4DError: no such file.
    """
    check_weights(name, weights)
    file = Path(weights)
    return f"{name}: {file.name}, {file.stat().st_size} bytes, sha256 {sha256_of(file)[:16]}"


def check_weights(name: str, weights: str | Path) -> None:
    """Refuse a file that is not there."""
    if not Path(weights).is_file():
        raise EX4DError(f"There are no weights of the tracker {name} at '{weights}'.")


def following(track: Tracker, name: str, weights: str | Path) -> Tracker:
    """The same tracker, but whatever its code raises while it follows points becomes one sentence, as does what is no answer."""

    def follow(frames: np.ndarray, points: np.ndarray, start: int, cancel: Callable[[], bool] | None = None) -> Tracks:
        clip = f"{len(points)} points in {len(frames)} frames of {frames.shape[2]}x{frames.shape[1]}"
        try:
            found = track(frames, points, start, cancel)
        except Exception as error:
            if isinstance(error, Cancelled) or out_of_memory(error):
                raise
            raise TrackerFailed(
                f"The tracker {name} with '{weights}' failed on {clip}: {first_line(error)}."
            ) from error
        if found.path.shape[:2] != (len(frames), len(points)) or not np.isfinite(found.path).all():
            shape = "x".join(map(str, found.path.shape))
            raise TrackerFailed(
                f"The tracker {name} with '{weights}' gave no tracks of {clip}: its places are {shape}, or not all numbers."
            )
        return found

    return follow


def first_line(error: Exception) -> str:
    """The kind of an error, and the beginning of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


@contextmanager
def loading(name: str, checkout: str | Path, weights: str | Path) -> Iterator[None]:
    """Around foreign code: whatever it raises becomes one sentence."""
    try:
        yield
    except Exception as error:
        if isinstance(error, EX4DError) or out_of_memory(error):
            raise
        raise EX4DError(
            f"The tracker {name} of '{checkout}' does not load with '{weights}': {first_line(error)}. Its own README says what "
            "it needs."
        ) from error


def import_from(checkout: str | Path, module: str) -> ModuleType:
    """A module of a checkout, by its name there.

    Raises:
        EX4DError: the same package was imported from elsewhere.
    """
    folder = str(Path(checkout).resolve())
    sys.path.insert(0, folder)
    try:
        found = importlib.import_module(module)
    finally:
        sys.path.remove(folder)
    if not Path(found.__file__ or "").resolve().is_relative_to(folder):
        raise EX4DError(
            f"{module.partition('.')[0]} is also installed, at '{found.__file__}'. Take it away, or name it."
        )
    return found


def read_weights(path: Path) -> Mapping[str, Any]:
    """Name -> tensor of a .pth or .pt; nothing in it is run."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    for within in ("model", "state_dict"):
        if within in state:
            state = state[within]
    return state
