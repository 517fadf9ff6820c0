"""Meshes of key frames, made ready and numbered: what `ex4d animate` and the node begin with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from ..camera import DEFAULT_FPS
from ..errors import Cancelled, EX4DError
from .clean import DEFAULT_FACES, Cleaned, cleaned
from .meshes import MeshFrames, TriangleMesh
from .read import SUFFIXES

Progress = Callable[[int, int], None]
Cancel = Callable[[], bool]


def mesh_frames(
    meshes: Sequence[TriangleMesh],
    frames: Sequence[int],
    *,
    fps: float = DEFAULT_FPS,
    faces: int = DEFAULT_FACES,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> tuple[MeshFrames, list[Cleaned]]:
    """Clean the meshes of key frames.

    Args:
        meshes: one for each key frame, as a generator gives them.
        frames: the number of the source video's frame of each, increasing.
        fps: frames a second of the source video.
        faces: at most about this many each; 0 = all.
        progress: called with (meshes done, meshes).
        cancel: polled before each mesh; True raises Cancelled.

    Returns:
        The meshes, without poses, and what was done to each.

    Raises:
        EX4DError: a mesh that cannot be used, told with its frame; counts that differ; numbers that do not increase.
        Cancelled: ``cancel`` returned True.
    """
    MeshFrames(tuple(frames), tuple(meshes), fps=fps)  # refuses what does not belong together before any work
    done: list[Cleaned] = []
    for frame, mesh in zip(frames, meshes, strict=True):
        if cancel is not None and cancel():
            raise Cancelled("Cleaning the meshes was cancelled.")
        try:
            done.append(cleaned(mesh, faces))
        except EX4DError as error:
            raise EX4DError(f"Frame {frame}: {error}") from None
        if progress is not None:
            progress(len(done), len(meshes))
    return MeshFrames(tuple(frames), tuple(each.mesh for each in done), fps=fps), done


def facts(meshes: MeshFrames, done: Sequence[Cleaned]) -> list[str]:
    """What was done, in a few words a line."""
    faces = sorted(len(mesh.faces) for mesh in meshes.meshes)
    lines = [
        f"{len(meshes)} meshes of frames {meshes.frames[0]} to {meshes.frames[-1]}, {faces[0]} to {faces[-1]} faces",
        f"made of {sum(each.before for each in done)} faces; {sum(each.dropped for each in done)} floating parts dropped",
    ]
    turned = [str(frame) for frame, each in zip(meshes.frames, done, strict=True) if each.turned]
    return lines + ([f"inside out, and turned: frame {', '.join(turned)}"] if turned else [])


def frame_numbers(text: str, count: int, names: Sequence[str] = ()) -> list[int]:
    """The frames that meshes belong to, from a person's words.

    Args:
        text: numbers ("0, 6, 12"); "every 3", from 0 on; or nothing: the last numbers in the files' names where every file has
            one and they increase, else 0, 1, 2 and so on.
        count: how many meshes there are.
        names: of their files, in order.

    Raises:
        EX4DError: words that mean neither, or another count of numbers.
    """
    words = text.strip().lower()
    if not words:
        found = [re.findall(r"\d+", Path(name).stem) for name in names]
        numbers = [int(each[-1]) for each in found if each]
        increase = all(later > earlier for earlier, later in pairwise(numbers))
        return numbers if len(numbers) == count and increase else list(range(count))
    if match := re.fullmatch(r"every (\d{1,4})", words):
        step = int(match[1])
        if step < 1:
            raise EX4DError("frames: every 0 frames there is no mesh; expected every 1 or more.")
        return [step * n for n in range(count)]
    parts = re.split(r"[\s,;]+", words)
    if not all(re.fullmatch(r"\d{1,9}", part) for part in parts):
        raise EX4DError(f'frames are numbers such as "0, 6, 12", or "every 3"; got {text.strip()!r}.')
    if len(parts) != count:
        raise EX4DError(f"frames names {len(parts)} frames for {count} meshes. Give one number for each mesh.")
    return [int(part) for part in parts]


def mesh_files(given: Iterable[str | Path]) -> list[Path]:
    """Files of meshes, from files and folders, in the order of the numbers in their names.

    Raises:
        EX4DError: something that is not there, or no mesh file at all.
    """
    files: list[Path] = []
    for each in map(Path, given):
        if each.is_dir():
            files += sorted((file for file in each.iterdir() if file.suffix.lower() in SUFFIXES), key=_numbered)
        elif each.is_file():
            files.append(each)
        else:
            raise EX4DError(f"There is no file or folder '{each}'.")
    if not files:
        raise EX4DError(f"There is no mesh file; expected {', '.join(SUFFIXES)}.")
    return files


def _numbered(file: Path) -> list[tuple[int, str]]:
    """Sorts frame_9 before frame_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", file.stem.lower())]
