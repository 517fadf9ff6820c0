"""Video in and out: streaming decode to exactly the frames asked for, and H.264 files written whole or not at all.

The story, one file a step: source and clip (what travels) -> video_file and sources (open one) -> sampling (which frames)
-> fit (at what size) -> colour (as RGB) -> decode (into one uint8 tensor) ... -> sound, bend, audio, encode,
spherical.
"""

from .bend import bent_sound
from .clip import VideoClip
from .decode import load_video
from .encode import VideoWriter, save_video
from .fit import FITS, Fit, PicturePlacement, place
from .sound import Sound, clip_sound
from .source import PicturesInMemory, VideoInfo
from .sources import probe_video
from .spherical import Spherical

__all__ = [
    "FITS",
    "Fit",
    "PicturePlacement",
    "PicturesInMemory",
    "Sound",
    "Spherical",
    "VideoClip",
    "VideoInfo",
    "VideoWriter",
    "bent_sound",
    "clip_sound",
    "load_video",
    "place",
    "probe_video",
    "save_video",
]
