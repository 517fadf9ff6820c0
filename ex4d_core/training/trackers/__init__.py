"""Points followed through a clip, by whichever tracker: one function, whose result is the pair of ComfyUI's TRACKS."""

from .choose import TRACKER_CHOICES, TRACKERS, TrackerChoice, TrackerName, choose_tracker
from .file import TracksFile, load_tracks, save_tracks
from .learned import LEARNED, LearnedName, identity, load_tracker
from .tracks import Tracker, TrackerFailed, Tracks

__all__ = [
    "LEARNED",
    "TRACKERS",
    "TRACKER_CHOICES",
    "LearnedName",
    "Tracker",
    "TrackerChoice",
    "TrackerFailed",
    "TrackerName",
    "Tracks",
    "TracksFile",
    "choose_tracker",
    "identity",
    "load_tracker",
    "load_tracks",
    "save_tracks",
]
