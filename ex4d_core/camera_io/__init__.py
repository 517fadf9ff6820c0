"""Camera files: one small module a format, each with ``read`` and ``write``, and the table that finds it.

``read(data, hints) -> Cameras`` takes the file's bytes; ``write(trajectory) -> bytes`` gives them. Everything that is
common (size limits, re-basing to frame 0, writing beside and renaming) happens here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..camera import Intrinsics, check_poses, invert_pose
from ..errors import EX4DError
from ..storage.staging import staged_file
from ..trajectory import MAX_FRAMES, Trajectory, document_from_lenses, scale_document
from . import chan, gltf, json_path, npz, re10k, transforms
from .cameras import Cameras, Format, Hints

MAX_BYTES = 256 * 2**20

FORMATS: dict[str, Format] = {
    "npz": Format("EX-4D camera (.npz)", ".npz", npz.read, npz.write),
    "json": Format("EX-4D path (.json)", ".json", json_path.read, json_path.write),
    "re10k": Format("RealEstate10K / CameraCtrl (.txt)", ".txt", re10k.read, re10k.write),
    "chan": Format("Nuke, Houdini, Blender (.chan)", ".chan", chan.read, chan.write),
    "transforms": Format("NeRF, instant-ngp, nerfstudio (transforms.json)", ".json", transforms.read, transforms.write),
    "gltf": Format("glTF camera animation (.gltf)", ".gltf", gltf.read, gltf.write_gltf),
    "glb": Format("glTF camera animation (.glb)", ".glb", gltf.read, gltf.write_glb),
}

SUFFIXES = tuple(sorted({entry.suffix for entry in FORMATS.values()}))


def load_camera(
    path: str | Path,
    *,
    intrinsics: Intrinsics | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    rebase: bool = True,
    scale: float = 1.0,
    radius: float | None = None,
) -> Trajectory:
    """Reads a camera path from a file; its name's ending and content tell the format.

    Args:
        path: .npz, .json (ours or transforms.json), .txt, .chan, .gltf, .glb.
        intrinsics: the scene's lens, which a path of ours inherits where it leaves the lens open.
        size: (width, height) in pixels for formats that hold the lens without an image size (.chan, glTF, .txt);
            None = the scene's. Where that is not known either, the path keeps its fields of view and gets its lenses
            from :meth:`Trajectory.for_scene`.
        fps: frames a second where the file has none; for glTF also the rate at which curves are sampled.
        rebase: make the first frame the source view (identity). Paths of our own JSON are already relative to it and
            stay where they are.
        scale: scene units per unit of the file.
        radius: the scene's radius, noted in the path's document for the editor; None = guessed from the path's extent.

    Raises:
        EX4DError: a missing, foreign or corrupt file; says what was found.
    """
    path = Path(path)
    if not np.isfinite(scale) or scale <= 0:
        raise EX4DError(f"The scale of an imported camera path must be positive, got {scale}.")
    read = _format_of(path)
    data = _bytes_of(path)
    hints = Hints(path.name, path.parent, intrinsics, size, fps, radius)
    try:
        return _trajectory(read(data, hints), hints, rebase, scale)
    except EX4DError as error:
        raise EX4DError(f"{path.name}: {error}") from error
    except (ArithmeticError, LookupError, TypeError, ValueError, MemoryError, RecursionError) as error:
        # Whatever else a foreign file may hold, it is the file that is wrong.
        raise EX4DError(f"{path.name} holds values that no camera has ({error!s:.80}). Export it again.") from error


def _trajectory(cameras: Cameras, hints: Hints, rebase: bool, scale: float) -> Trajectory:
    if cameras.document is not None:
        return Trajectory.from_json(scale_document(cameras.document, scale), intrinsics=hints.intrinsics)
    frames = len(cameras.world_to_camera)
    if frames > MAX_FRAMES:
        raise EX4DError(f"this camera path has {frames} frames, more than the {MAX_FRAMES} a path may have.")
    poses = check_poses(cameras.world_to_camera, "this camera path").copy()
    poses[:, :3, 3] *= scale
    if rebase:
        poses = poses @ invert_pose(poses[0])
    fps = cameras.fps or hints.fps or 15.0
    if cameras.fov is None:
        return Trajectory(poses, cameras.intrinsics, fps)
    width, height = hints.size or (None, None)
    document = document_from_lenses(
        poses, cameras.fov, cameras.lens_shift, fps=fps, width=width, height=height, radius=hints.radius
    )
    return Trajectory.from_json(document, intrinsics=hints.intrinsics)


def _format_of(path: Path):
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _read_json
    for entry in FORMATS.values():
        if entry.suffix == suffix:
            return entry.read
    raise EX4DError(f"{path.name}: no camera format ends in {suffix or 'nothing'!r}. Known: {', '.join(SUFFIXES)}.")


def _read_json(data: bytes, hints: Hints) -> Cameras:
    return transforms.read(data, hints) if transforms.looks_like(data) else json_path.read(data, hints)


def _bytes_of(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise EX4DError(f"{path.name} is larger than {MAX_BYTES >> 20} MB, too large for a camera path.")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, EX4DError):
            raise
        reason = getattr(error, "strerror", None) or "no system takes this name"
        raise EX4DError(f"{path.name} could not be read: {reason}. Check its name and folder.") from None
    if not data:
        raise EX4DError(f"The camera file {path.name} is empty. Export it again.")
    return data


def save_camera(trajectory: Trajectory, path: str | Path, *, format: str | None = None) -> Path:
    """Writes a camera path; beside the name first, then renamed, so that no half file is left.

    Args:
        trajectory: the path; formats that hold a lens need ``trajectory.intrinsics``.
        path: where to; replaced if it exists.
        format: a name of :data:`FORMATS`; None = by the name's ending (.json is our own).

    Returns:
        The path written.

    Raises:
        EX4DError: an unknown format, a lens that the format cannot hold, or an unwritable folder.
    """
    path = Path(path)
    if format is None:
        format = next((name for name, entry in FORMATS.items() if entry.suffix == path.suffix.lower()), None)
    if format not in FORMATS:
        raise EX4DError(f"{path.name}: unknown camera format. Choose a name that ends in {', '.join(SUFFIXES)}.")
    data = FORMATS[format].write(trajectory)
    with staged_file(path) as part:
        part.write_bytes(data)
    return path


__all__ = ["FORMATS", "SUFFIXES", "Cameras", "Format", "Hints", "load_camera", "save_camera"]
