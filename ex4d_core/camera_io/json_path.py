"""Our own path documents; see :mod:`ex4d_core.trajectory.document` for what the JSON may hold."""

from __future__ import annotations

import numpy as np

from ..errors import EX4DError
from .cameras import Cameras, Format, Hints, text_of


def read(data: bytes, _hints: Hints) -> Cameras:
    """Hands the document's text on as it is: only a path knows what it means."""
    return Cameras(np.eye(4)[None], document=text_of(data))


def write(cameras: Cameras) -> bytes:
    """Writes the document, on one line."""
    if cameras.document is None:
        raise EX4DError("EX-4D's .json holds a path document, and these cameras come without one.")
    return (cameras.document + "\n").encode()


FORMAT = Format(
    name="json",
    title="EX-4D path",
    suffixes=(".json",),
    used_by="this pack; keyframes stay editable",
    keeps="everything",
    read=read,
    write=write,
    holds_document=True,
)
