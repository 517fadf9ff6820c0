"""Our own path documents; see :mod:`ex4d_core.trajectory.document` for the format."""

from __future__ import annotations

import numpy as np

from ..trajectory import Trajectory, parse_document
from .cameras import Cameras, Hints, text_of


def read(data: bytes, hints: Hints) -> Cameras:
    """Reads a document; it is evaluated by the caller, who knows the scene's lens."""
    return Cameras(np.eye(4)[None], document=parse_document(text_of(data)))


def write(trajectory: Trajectory) -> bytes:
    """Writes the document the path came from, or one keyframe a frame."""
    return (trajectory.to_json() + "\n").encode()
