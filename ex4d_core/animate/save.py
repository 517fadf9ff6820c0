"""A mesh that moves as files for other programs: one .glb that plays, or single frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..assets.glb import BETWEEN, Document
from ..assets.shapes import as_shapes
from ..camera import Y_UP
from ..errors import Cancelled, EX4DError
from ..pointmap.note import check_scale
from ..storage.ply import colored_vertices, write_ply
from ..storage.staging import staged_folder
from .meshes import MeshClip

CLIP_FORMATS = ("glb", "glb frame", "glb sequence", "ply frame", "ply sequence")
"""Those of the formats of a clip's mesh that a mesh which moves is written in."""

Progress = Callable[[int, int], None]
Cancel = Callable[[], bool]


@dataclass(frozen=True, eq=False)
class WrittenClip:
    """What was written, for whoever tells people.

    Attributes:
        files: in order.
        bytes: of all files.
        frames: of the file or files.
        faces: of the mesh.
        vertices: of the mesh.
        shapes: how many shapes a moving mesh is mixed from; 0 where none are.
    """

    files: list[Path] = field(default_factory=list)
    bytes: int = 0
    frames: int = 1
    faces: int = 0
    vertices: int = 0
    shapes: int = 0

    def lines(self) -> list[str]:
        """What people want to know, in a few words a line."""
        count = f"{len(self.files)} files, " if len(self.files) > 1 else ""
        moving = f", {self.shapes} shapes" if self.shapes else ""
        return [
            f"{self.files[0].name}: {count}{self.bytes / 1e6:.1f} MB",
            f"{self.frames} frames, {self.faces} faces, {self.vertices} vertices{moving}",
        ]


def check_clip_format(format: str, frame: int, frames: int, between: str = "blend") -> None:
    """Refuse what cannot be written, before work starts.

    Raises:
        EX4DError: a format that holds no such mesh, another choice between frames, or a frame that is not there.
    """
    if format not in CLIP_FORMATS:
        raise EX4DError(f"A moving mesh is written as one of {', '.join(CLIP_FORMATS)}; got {format!r}.")
    if between not in BETWEEN:
        raise EX4DError(f"between must be one of {', '.join(BETWEEN)}; got {between!r}.")
    if not 0 <= frame < frames:
        raise EX4DError(f"The moving mesh has frames 0 to {frames - 1}; frame {frame} was asked for.")


def save_mesh_clip(
    path: str | Path,
    clip: MeshClip,
    *,
    format: str = "glb",
    between: str = "blend",
    frame: int = 0,
    scale: float = 1.0,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> WrittenClip:
    """Write a moving mesh for another program, y up.

    Args:
        path: the file to write, or the common beginning of the names of several; its ending is the format's, whatever is given.
            Files that exist are replaced, all at once when the last is done.
        clip: the mesh.
        format: of `CLIP_FORMATS`.
        between: what a program shows between two frames of a glb: "hold" or "blend".
        frame: which one, for the formats of a single frame.
        scale: metres per unit of the mesh.
        progress: called with (frames done, frames).
        cancel: polled once a frame; True raises Cancelled.

    Returns:
        What was written.

    Raises:
        EX4DError: a format, frame or number that there is not, or a folder that cannot be written.
        Cancelled: ``cancel`` returned True; nothing was written.
    """
    check_clip_format(format, frame, len(clip), between)
    check_scale(scale)
    path = Path(path)
    name = path.stem if path.suffix.lower() in (".glb", ".ply") else path.name
    shape = wedges(clip)
    shapes = 0
    frames = [frame] if format.endswith("frame") else list(range(len(clip)))
    with staged_folder(path.parent) as stage:
        if format == "glb":
            shapes = _save_moving(stage / f"{name}.glb", clip, shape, scale, between, progress, cancel)
        else:
            suffix = format[:3]
            for done, t in enumerate(frames):
                _look(cancel)
                numbered = f".{t:04}" if format.endswith("sequence") else ""
                save = _save_still if suffix == "glb" else _save_ply
                save(stage / f"{name}{numbered}.{suffix}", clip, shape, scale, t)
                if progress is not None:
                    progress(done + 1, len(frames))
        made = sorted(stage.iterdir())
        size = sum(file.stat().st_size for file in made)
    files = [path.parent / file.name for file in made]
    return WrittenClip(files, size, len(frames), len(shape.faces), len(shape.vertices), shapes)


@dataclass(frozen=True, eq=False)
class Wedges:
    """A clip's vertices as glTF has them: doubled where faces beside each other have other places in the texture.

    Attributes:
        vertices: (N,) the clip's vertex that each is a copy of.
        faces: (F, 3).
        uv: (N, 2); None without a texture.
    """

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray | None


def wedges(clip: MeshClip) -> Wedges:
    """A clip's vertices and faces as glTF has them."""
    if clip.uv is None:
        return Wedges(np.arange(clip.vertices.shape[1]), clip.faces, None)
    corners = np.concatenate([clip.faces.reshape(-1, 1).astype(np.float64), clip.uv.reshape(-1, 2)], axis=1)
    kinds, number = np.unique(corners, axis=0, return_inverse=True)
    return Wedges(kinds[:, 0].astype(np.int64), number.reshape(-1, 3).astype(np.int32), kinds[:, 1:].astype(np.float32))


def positions(clip: MeshClip, vertices: np.ndarray, scale: float, t: int) -> np.ndarray:
    """(N, 3) float32 in the file's axes and unit."""
    points = clip.vertices[t, vertices].astype(np.float64) * scale
    return (points * Y_UP if clip.space == "camera" else points).astype(np.float32)


def _linear(colors: np.ndarray | None) -> np.ndarray | None:
    """(V, 3) float32 of sRGB: glTF's vertex colours are linear."""
    if colors is None:
        return None
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _material(document: Document, clip: MeshClip) -> int:
    if clip.texture is not None:
        return document.material(clip.texture, "texture")
    return document.plain_material("mesh", unlit=clip.colors is not None)


def _colors(clip: MeshClip, shape: Wedges) -> np.ndarray | None:
    return None if clip.colors is None or clip.texture is not None else _linear(clip.colors[shape.vertices])


def _save_moving(
    path: Path,
    clip: MeshClip,
    shape: Wedges,
    scale: float,
    between: str,
    progress: Progress | None,
    cancel: Cancel | None,
) -> int:
    """One mesh whose shapes are the frames, or fewer that these are mixed from; returns how many."""
    moved = np.empty((len(clip), len(shape.vertices), 3), np.float32)
    for t in range(len(clip)):
        _look(cancel)
        moved[t] = positions(clip, shape.vertices, scale, t)
        if progress is not None:
            progress(t + 1, len(clip))
    base, shapes, weights = as_shapes(moved, clip.size * scale)
    document = Document("clip", clip.fps)
    fields: dict[str, object] = {}
    if len(shapes):
        fields = {
            "weights": weights[0].tolist(),
            "extras": {"targetNames": [f"shape {n + 1}" for n in range(len(shapes))]},
        }
    colors = _colors(clip, shape)
    node = document.mesh("mesh", base, shape.uv, shape.faces, _material(document, clip), shapes, colors, **fields)
    if len(shapes):
        # The last frame is shown as long as every other.
        order = [*range(len(clip)), len(clip) - 1]
        document.animate(node, "weights", np.arange(len(order)), weights[order].reshape(-1, 1), "SCALAR", between)
    document.save(path)
    return len(shapes)


def _save_still(path: Path, clip: MeshClip, shape: Wedges, scale: float, t: int) -> None:
    document = Document("frame", clip.fps)
    places = positions(clip, shape.vertices, scale, t)
    document.mesh("mesh", places, shape.uv, shape.faces, _material(document, clip), (), _colors(clip, shape))
    document.save(path)


def _save_ply(path: Path, clip: MeshClip, shape: Wedges, scale: float, t: int) -> None:
    places = positions(clip, shape.vertices, scale, t)
    colors = np.full((len(places), 3), 200, np.uint8)
    if clip.texture is not None and shape.uv is not None:
        height, width = clip.texture.shape[:2]
        rows = np.clip((shape.uv[:, 1] * height).astype(int), 0, height - 1)
        colors = clip.texture[rows, np.clip((shape.uv[:, 0] * width).astype(int), 0, width - 1)]
    elif clip.colors is not None:
        colors = np.round(clip.colors[shape.vertices] * 255).astype(np.uint8)
    write_ply(path, colored_vertices(places, colors), shape.faces, comments=["EX-4D; y up"])


def _look(cancel: Cancel | None) -> None:
    if cancel is not None and cancel():
        raise Cancelled("Writing the mesh was cancelled.")
