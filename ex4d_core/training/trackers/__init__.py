"""Points followed through a clip, by whichever tracker: one function, whose result is the pair of ComfyUI's TRACKS."""

from .choose import TRACKER_CHOICES, TRACKERS, TrackerChoice, TrackerName, choose_tracker
from .file import TracksFile, load_tracks, save_tracks
from .tracks import Tracker, Tracks

__all__ = [
    "TRACKERS",
    "TRACKER_CHOICES",
    "Tracker",
    "TrackerChoice",
    "TrackerName",
    "Tracks",
    "TracksFile",
    "choose_tracker",
    "load_tracks",
    "save_tracks",
]
