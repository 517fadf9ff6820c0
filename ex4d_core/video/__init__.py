"""Video in and out: streaming decode to exactly the frames asked for, and H.264 files written whole or not at all.

The story, one file a step: probe (what is in the file) -> sampling (which frames) -> fit (at what size)
-> decode (into one uint8 tensor) ... -> encode.
"""

from .decode import VideoClip, load_video
from .encode import VideoWriter, save_video
from .fit import FITS, Placement, place
from .sound import clip_sound
from .video_file import Pictures, VideoInfo, probe_video

__all__ = [
    "FITS",
    "Pictures",
    "Placement",
    "VideoClip",
    "VideoInfo",
    "VideoWriter",
    "clip_sound",
    "load_video",
    "place",
    "probe_video",
    "save_video",
]
