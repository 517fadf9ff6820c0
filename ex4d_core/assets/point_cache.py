"""A clip's mesh as an OBJ with its picture, and the motion of its vertices beside it as a point cache.

MDD (LightWave) and PC2 (3ds Max) hold where every vertex of the OBJ is at every frame: what Blender's Mesh Cache modifier,
Houdini, Cinema 4D and Maya read. Axes as in the OBJ: y up, -z forward.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ..errors import Cancelled
from .collapse import Collapsing, collapsing
from .glb import Cancel, Progress, jpeg
from .scene import AssetScene
from .simplify import Surface

CacheKind = Literal["mdd", "pc2"]
CACHE_KINDS: tuple[CacheKind, ...] = get_args(CacheKind)


def save_point_cache(
    folder: Path,
    name: str,
    scene: AssetScene,
    surface: Surface,
    picture: int,
    kind: CacheKind,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> None:
    """Write ``name``.obj, .mtl, .jpg and the cache ``name``.mdd or .pc2 into a folder.

    Args:
        folder: of all four, which is there.
        name: theirs, without an ending.
        scene: what is written.
        surface: faces for all of the scene's frames.
        picture: the frame whose picture the mesh wears.
        kind: of :data:`CACHE_KINDS`.
        progress: called with (frames done, frames).
        cancel: polled once a frame; True raises Cancelled.
    """
    shape = collapsing(surface)
    made: dict[int, np.ndarray] = {}

    def moved(frame: int) -> np.ndarray:
        if frame not in made:
            made.clear()  # frames come in order, or a few times in a row
            k = surface.frames.index(frame)
            made[frame] = shape.at(k, scene.positions(frame, surface.vertices))
        return made[frame]

    (folder / f"{name}.jpg").write_bytes(jpeg(scene.picture(picture)))
    material = f"newmtl picture\nKd 1 1 1\nKa 0 0 0\nKs 0 0 0\nillum 0\nmap_Kd {name}.jpg\n"
    (folder / f"{name}.mtl").write_text(material, encoding="utf-8", newline="\n")
    uv = scene.texture_coordinates(surface.vertices)[shape.vertices]
    _write_obj(folder / f"{name}.obj", name, moved(scene.shown[0]), uv, shape)
    with open(folder / f"{name}.{kind}", "wb") as file:
        file.write(_header(kind, len(scene), len(shape.vertices), scene.fps))
        for n, frame in enumerate(scene.shown):
            if cancel is not None and cancel():
                raise Cancelled("Writing the point cache was cancelled.")
            file.write(moved(frame).astype(">f4" if kind == "mdd" else "<f4").tobytes())
            if progress is not None:
                progress(n + 1, len(scene))


def _write_obj(path: Path, name: str, positions: np.ndarray, uv: np.ndarray, shape: Collapsing) -> None:
    """Vertices, places in the picture (from its lower left corner, as OBJ has them) and faces, one number for both."""
    with open(path, "w", encoding="ascii", errors="replace", newline="\n") as file:
        file.write(f"# EX-4D; y up, the camera looks along -z\nmtllib {name}.mtl\no clip\n")
        _write_rows(file.write, "v %.9g %.9g %.9g\n", positions)
        _write_rows(file.write, "vt %.6f %.6f\n", np.stack([uv[:, 0], 1 - uv[:, 1]], axis=-1))
        file.write("usemtl picture\n")
        _write_rows(file.write, "f %d/%d %d/%d %d/%d\n", np.repeat(shape.faces + 1, 2, axis=1))


def _write_rows(write: Callable[[str], object], form: str, rows: np.ndarray) -> None:
    for begin in range(0, len(rows), 4096):
        piece = rows[begin : begin + 4096]
        write((form * len(piece)) % tuple(piece.ravel().tolist()))


def _header(kind: CacheKind, frames: int, points: int, fps: float) -> bytes:
    if kind == "mdd":
        times = np.arange(frames) / fps
        return np.array([frames, points], ">i4").tobytes() + times.astype(">f4").tobytes()
    start, every = 0.0, 1.0
    return (
        b"POINTCACHE2\0"
        + np.array([1, points], "<i4").tobytes()
        + np.array([start, every], "<f4").tobytes()
        + np.array([frames], "<i4").tobytes()
    )
