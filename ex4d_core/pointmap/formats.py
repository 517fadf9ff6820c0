"""Point maps in files of every kind: the table, and what writes and reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import Cancelled, EX4DError
from ..machine import extras
from ..machine.memory import check_memory
from ..storage.staging import staged_folder
from . import exr, pictures, ply
from .clip import PointMap, Space
from .files import is_pointmap, load_pointmap, pointmap_shape, save_pointmap
from .frame import PointFrame
from .note import Note

Progress = Callable[[int, int], None]
Cancel = Callable[[], bool]

LEAST_SHARE = 1000
"""One pixel in so many has a point, at least; a file that says less states a wrong size."""


@dataclass(frozen=True)
class PointFormat:
    """A row of the table of formats.

    Attributes:
        suffix: ending of the file that is opened; of a sequence's frames without their number.
        title: what it is, in a few words.
        used_by: the programs that read it.
        frame_suffix: ending of a frame's file; "" where all frames are in one.
        write_frame, read_frame, read_note: see `ply`; None where all frames are in one.
        write_index: writes the file beside the frames; None where each frame says everything.
        needs: an optional package, by the name of its module; None where none is.
    """

    suffix: str
    title: str
    used_by: str
    frame_suffix: str = ""
    write_frame: Callable[[Path, PointFrame, Note], None] | None = None
    read_frame: Callable[[Path, Note], PointFrame] | None = None
    read_note: Callable[[Path], Note | None] | None = None
    write_index: Callable[[Path, Note], None] | None = None
    needs: str | None = None


POINT_FORMATS = {
    "ply points": PointFormat(
        ".ply",
        "a file a frame, a colour a point",
        "CloudCompare, MeshLab, Blender, Houdini",
        ".ply",
        ply.write_frame,
        ply.read_frame,
        ply.read_note,
    ),
    "npz": PointFormat(".npz", "the clip in one file, every digit", "Python, Load Point Map"),
    "16-bit pictures": PointFormat(
        pictures.SUFFIX,
        "two PNG a frame, with the ranges in a JSON",
        "compositors, Python",
        ".png",
        pictures.write_frame,
        pictures.read_frame,
        pictures.read_note,
        pictures.write_index,
    ),
    "exr": PointFormat(
        ".exr",
        "a position pass a frame, beside its picture",
        "Nuke, Fusion, Houdini, Blender",
        ".exr",
        exr.write_frame,
        exr.read_frame,
        exr.read_note,
        needs="OpenEXR",
    ),
}
"""By the names that nodes and the command line call them."""

POINT_SUFFIXES = (".npz", pictures.SUFFIX, ".0000.ply", ".0000.exr")
"""Endings of the files by which point maps are opened; of sequences, the first frame's."""


def check_points(format: str) -> PointFormat:
    """The format's row, refused where there is none or its package is missing.

    Raises:
        EX4DError: see above.
    """
    if format not in POINT_FORMATS:
        raise EX4DError(f"The format must be one of {', '.join(POINT_FORMATS)}; got {format!r}.")
    entry = POINT_FORMATS[format]
    if entry.needs is not None:
        extras.check(entry.needs, f"The format {format}")
    return entry


def save_points(
    path: str | Path,
    pointmap: PointMap,
    *,
    format: str = "ply points",
    scale: float = 1.0,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> list[Path]:
    """Write a point map as files of a kind; they appear together at the end or not at all.

    Args:
        path: the file to write, or the beginning of the names of several; its ending is the format's, whatever is given.
            Files that exist are replaced.
        pointmap: what is written.
        format: of :data:`POINT_FORMATS`.
        scale: units of the file per unit of the map; npz keeps the map's own, and its axes too, the others are y up.
        progress: called with (steps done, steps).
        cancel: polled once a frame; True raises Cancelled.

    Returns:
        The files, in the order in which they are opened.

    Raises:
        EX4DError: a format or scale that there is not, a missing package, or a disk that refuses.
        Cancelled: ``cancel`` returned True; nothing was written.
    """
    entry, path = check_points(format), Path(path)
    name = plain_name(path)
    note = Note.of(pointmap, scale)
    with staged_folder(path.parent) as stage:
        if entry.write_frame is None:
            save_pointmap(stage / f"{name}{entry.suffix}", pointmap, progress=progress, cancel=cancel)
        else:
            if entry.write_index is not None:
                note = note.with_range(*_range(pointmap, note))
                entry.write_index(stage / f"{name}{entry.suffix}", note)
            _write_frames(entry, stage, name, pointmap, note, progress, cancel)
        made = sorted(stage.iterdir(), key=lambda file: (not file.name.endswith(entry.suffix), file.name))
    return [path.parent / file.name for file in made]


def plain_name(path: Path) -> str:
    """A name without a format's ending."""
    for entry in POINT_FORMATS.values():
        if path.name.lower().endswith(entry.suffix):
            return path.name[: -len(entry.suffix)]
    return path.name


def _write_frames(
    entry: PointFormat,
    stage: Path,
    name: str,
    pointmap: PointMap,
    note: Note,
    progress: Progress | None,
    cancel: Cancel | None,
) -> None:
    assert entry.write_frame is not None
    for t in range(len(pointmap)):
        if cancel is not None and cancel():
            raise Cancelled("Writing the points was cancelled.")
        values = (part[t].cpu().numpy() for part in (pointmap.points, pointmap.valid, pointmap.colors))
        points, valid, colors = values
        frame = PointFrame(note.in_file(points), valid, colors)
        entry.write_frame(stage / f"{name}.{t:04}{entry.frame_suffix}", frame, note)
        if progress is not None:
            progress(t + 1, len(pointmap))


def _range(pointmap: PointMap, note: Note) -> tuple[np.ndarray, np.ndarray]:
    """The least and largest coordinate of each axis over the clip, in the file's axes and unit."""
    ends = []
    for points, valid in zip(pointmap.points, pointmap.valid, strict=True):
        seen = note.in_file(points[valid].cpu().numpy())
        ends.append((seen.min(0), seen.max(0)))
    lows, highs = zip(*ends, strict=True)
    return np.min(lows, axis=0), np.max(highs, axis=0)


def _entry_of(path: Path) -> PointFormat | None:
    """The format that a file's name says; None for another."""
    return next((entry for entry in POINT_FORMATS.values() if path.name.lower().endswith(entry.suffix)), None)


def _note_of(path: Path) -> Note | None:
    entry = _entry_of(path)
    return None if entry is None or entry.read_note is None else entry.read_note(path)


def is_points(path: str | Path) -> bool:
    """Whether a file holds points that say where they stand; False for what cannot be read."""
    path = Path(path)
    try:
        return path.is_file() and (is_pointmap(path) or _note_of(path) is not None)
    except EX4DError:
        return False


def points_shape(path: str | Path) -> tuple[tuple[int, int, int], float]:
    """((frames, height, width), pixel aspect) of a file that `is_points`, from its header.

    Raises:
        EX4DError: unreadable.
    """
    note = _note_of(Path(path))
    if note is None:
        return pointmap_shape(path)
    return (note.frames, note.height, note.width), note.pixel_aspect


def load_points(
    path: str | Path,
    *,
    space: Space | None = None,
    colors: torch.Tensor | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> PointMap:
    """Read a point map from files of any kind.

    Args:
        path: .npz, any frame of a sequence, or the .points.json of pictures.
        space: where the points stand; None = as the file says.
        colors: (T, H, W, 3) pictures in place of the file's.
        progress: called with (frames read, frames in all).
        cancel: polled at every frame.

    Raises:
        UnknownSpace: nothing says where the points stand.
        EX4DError: unreadable, or no point map in it.
        Cancelled: ``cancel`` returned True.
    """
    path = Path(path)
    entry = _entry_of(path)
    if entry is None:
        endings = ", ".join(known.suffix for known in POINT_FORMATS.values())
        raise EX4DError(f"'{path}' is no file of points. Known endings: {endings}.")
    if entry.read_frame is None or entry.read_note is None:
        return load_pointmap(path, space=space, colors=colors, progress=progress, cancel=cancel)
    note = entry.read_note(path)
    if note is None:
        raise EX4DError(f"'{path}' is of another program and does not say which pixel each point belongs to.")
    files = _frames_of(path, entry, note)
    made = _read_frames(entry, files, note, progress, cancel)
    space, shown = space or note.space, made[2] if colors is None else torch.as_tensor(colors)
    try:
        return PointMap(made[0], made[1], shown, space, note.fps, note.pixel_aspect)
    except EX4DError as error:
        raise EX4DError(f"'{path}': {error}") from error


def _frames_of(path: Path, entry: PointFormat, note: Note) -> list[Path]:
    """The files of a sequence, whole and in order."""
    if entry.write_index is not None:
        stem = path.name[: -len(entry.suffix)]
    else:
        match = re.fullmatch(r"(.*)\.\d{4,}", path.name[: -len(entry.suffix)], re.DOTALL)
        if match is None:
            return [path] if note.frames == 1 else _missing(path, note)
        stem = match[1]
    files = [path.with_name(f"{stem}.{t:04}{entry.frame_suffix}") for t in range(note.frames)]
    return files if all(file.is_file() for file in files) else _missing(path, note, files)


def _missing(path: Path, note: Note, files: list[Path] | None = None) -> list[Path]:
    lost = (
        "" if files is None else f", of which '{next(file.name for file in files if not file.is_file())}' is not there"
    )
    raise EX4DError(f"'{path}' belongs to a clip of {note.frames} frames{lost}. Keep all their files in one folder.")


def _read_frames(
    entry: PointFormat, files: list[Path], note: Note, progress: Progress | None, cancel: Cancel | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Points, validity and colours of all frames."""
    assert entry.read_frame is not None and entry.read_note is not None
    frames, pixels = len(files), note.height * note.width
    check_memory(16 * frames * pixels, "This point map", "Read fewer frames.")
    made = None
    for t, file in enumerate(files):
        if cancel is not None and cancel():
            raise Cancelled
        if entry.write_index is None and (other := entry.read_note(file)) != note:
            raise EX4DError(f"'{file}' is of another clip than '{files[0]}': {other} against {note}.")
        _check_holds(file, pixels)
        frame = entry.read_frame(file, note)
        if made is None:
            shape = (frames, note.height, note.width)
            made = (
                torch.empty(*shape, 3),
                torch.empty(shape, dtype=torch.bool),
                torch.empty(*shape, 3, dtype=torch.uint8),
            )
        values = (note.from_file(frame.points), frame.valid, frame.colors)
        for whole, part in zip(made, values, strict=True):
            whole[t] = torch.from_numpy(part)
        if progress is not None:
            progress(t + 1, frames)
    assert made is not None
    return made


def _check_holds(file: Path, pixels: int) -> None:
    """Refuse a file far too small for the pixels that it states, before memory is taken for them."""
    if file.stat().st_size * LEAST_SHARE < pixels:
        raise EX4DError(f"'{file}' is too small for the {pixels} pixels that it states; it is damaged. Write it anew.")


__all__ = [
    "POINT_FORMATS",
    "POINT_SUFFIXES",
    "PointFormat",
    "check_points",
    "is_points",
    "load_points",
    "points_shape",
    "save_points",
]
