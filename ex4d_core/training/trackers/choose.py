"""Which tracker: the list of them, and what "auto" takes."""

from __future__ import annotations

import importlib
import importlib.util
from functools import partial
from typing import Literal, get_args

from ...errors import EX4DError
from ...machine import extras
from .tracks import Tracker, both_ways

TrackerName = Literal["lk", "dis", "torch"]
"""``lk``: OpenCV's Lucas-Kanade. ``dis``: OpenCV's dense flow. ``torch``: Lucas-Kanade without OpenCV, slower."""
TRACKERS: tuple[TrackerName, ...] = get_args(TrackerName)
TrackerChoice = Literal["auto"] | TrackerName
TRACKER_CHOICES: tuple[TrackerChoice, ...] = ("auto", *TRACKERS)
_MODULES: dict[TrackerName, str] = {"lk": "lk", "dis": "dis", "torch": "torch_lk"}
_OPENCV: tuple[TrackerName, ...] = ("lk", "dis")


def choose_tracker(choice: str) -> Tracker:
    """A tracker by its name; "auto" is lk where OpenCV is installed, else torch.

    The two find nearly, not exactly, the same places: a run that shall be repeated elsewhere names one.

    Raises:
        EX4DError: an unknown name, or one that needs OpenCV where there is none.
    """
    if choice not in TRACKER_CHOICES:
        raise EX4DError(f"Unknown tracker {choice!r}; choose one of: {', '.join(TRACKER_CHOICES)}.")
    name: TrackerName = choice if choice != "auto" else "lk" if importlib.util.find_spec("cv2") else "torch"
    if name in _OPENCV:
        extras.check("cv2", f"The tracker {name}")
    return partial(both_ways, importlib.import_module(f".{_MODULES[name]}", __package__).track)
