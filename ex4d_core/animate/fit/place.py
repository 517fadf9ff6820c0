"""The meshes of single frames placed in front of the camera that filmed them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ...camera import Intrinsics
from ...errors import Cancelled, EX4DError
from ...machine.cores import cores
from ..meshes import MeshFrames, TriangleMesh
from .refine import Fit, judge, refine
from .sequence import chosen
from .solid import Solid, solid_of
from .target import Target, make_target
from .views import coarse_poses

FIRST, APART = 16, np.radians(14.0)
"""Views that are refined at all, and how far apart they are."""
FIRST_COLORED = 40
"""With colours so many views are looked at, and those whose colours fit go on: outlines alone may tell no side."""
ROUGH_STEPS, ROUGH_WIDTH = 6, 8.0
KEPT, FINE_STEPS, FINE_WIDTH = 6, 8, 3.0
"""Of them so many go on to the fine fit, and into the choice over the sequence."""
LAST_STEPS, LAST_WIDTH = 12, 1.5
SAME = np.radians(6.0)
"""Two views that end so close together are one."""


@dataclass(frozen=True, eq=False)
class Placed:
    """Meshes with poses, and how well they fit.

    Attributes:
        meshes: the same meshes with poses from their own axes to the camera of their frame.
        iou: (N,) of mesh and mask, 0..1.
        outline: (N,) mean distance of their outlines in pixels of the video.
        depth: (N,) mean distance of the surfaces as a share of the object's distance; NaN without depth.
        apart: (N-1,) how far the surfaces of neighbouring frames are apart, in the object's size, at most 0.25.
    """

    meshes: MeshFrames
    iou: np.ndarray
    outline: np.ndarray
    depth: np.ndarray
    apart: np.ndarray


def fit_meshes(
    meshes: MeshFrames,
    masks: np.ndarray,
    lens: Intrinsics,
    *,
    lenses: tuple[Intrinsics, ...] | None = None,
    depth: np.ndarray | None = None,
    images: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Placed:
    """Where each mesh stands in front of the camera of its frame, so that it fills the object's mask.

    Every mesh is looked at from all around, the best views are refined by least squares on outlines, depth and colours, and one
    for each frame is chosen over the whole sequence at once. Without depth, how far away the object is cannot be told from how
    large it is: then it is taken to be equally large in every frame, and half of the frames have its middle nearer than 1.

    Args:
        meshes: N meshes, each in axes and units of its own.
        masks: (T, H, W) float 0..1 or bool, 1 = the object, of every frame of the video.
        lens: the video's.
        lenses: T of them, where the lens changes.
        depth: (T, H, W) planar depth > 0 of the video, or None.
        images: (T, H, W, 3) float 0..1 or uint8, the video's frames, used where meshes have colours; or None.
        progress: called with (frames done, frames).
        cancel: polled between frames; True raises Cancelled.

    Raises:
        EX4DError: a mask that is empty, full or missing, sizes that differ.
        Cancelled: ``cancel`` returned True.
    """
    _check(meshes, masks, depth, images)
    solids = [solid_of(mesh) for mesh in meshes.meshes]
    own_lenses = tuple(
        (lens if lenses is None else lenses[frame]).fitted(masks.shape[2], masks.shape[1]) for frame in meshes.frames
    )

    def target(n: int) -> Target:
        frame = meshes.frames[n]
        image = None if images is None or solids[n].colors is None else _unit(images[frame])
        plane = None if depth is None else np.asarray(depth[frame], np.float32)
        return make_target(np.asarray(masks[frame], np.float32), own_lenses[n], plane, image, frame)

    targets = [target(n) for n in range(len(meshes))]
    searched = _all_frames(lambda n: _search(solids[n], targets[n]), len(meshes), progress, cancel)
    picked, apart = chosen(searched, solids)
    fits = [
        refine(solids[n], targets[n], searched[n][picked[n]].pose, LAST_STEPS, LAST_WIDTH) for n in range(len(meshes))
    ]
    poses = np.stack([fit.pose for fit in fits])
    poses = poses if depth is not None else _equally_large(poses)
    return _result(meshes, own_lenses, solids, targets, poses, apart)


def _unit(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32 0..1."""
    return image.astype(np.float32) / (255 if image.dtype == np.uint8 else 1)


def _inside_out(mesh: TriangleMesh) -> bool:
    """Whether a mesh's faces show their backs outwards: the volume that they enclose is negative."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    middle = mesh.vertices.astype(np.float64).mean(0)
    return float((np.cross(a - middle, b - middle) * (c - middle)).sum()) < 0


def _check(meshes: MeshFrames, masks: np.ndarray, depth: np.ndarray | None, images: np.ndarray | None) -> None:
    for frame, mesh in zip(meshes.frames, meshes.meshes, strict=True):
        if _inside_out(mesh):
            raise EX4DError(
                f"The mesh of frame {frame} is inside out: its faces show their backs. Flip its faces where it was made."
            )
    if masks.ndim != 3:
        raise EX4DError(f"Masks have the shape (frames, height, width), got {tuple(masks.shape)}.")
    if meshes.frames[-1] >= len(masks):
        raise EX4DError(
            f"There are masks for {len(masks)} frames, and a mesh stands for frame {meshes.frames[-1]}, counted from 0. Give a "
            "mask for every frame of the video, or correct the meshes' frame numbers."
        )
    for name, given in (("depth", depth), ("picture", images)):
        if given is not None and tuple(given.shape[:3]) != tuple(masks.shape):
            raise EX4DError(
                f"Masks and {name} must belong to the same video: the masks are {tuple(masks.shape)} (frames, height, width), "
                f"the {name} is {tuple(given.shape[:3])}."
            )


def _all_frames(
    work: Callable[[int], list[Fit]],
    count: int,
    progress: Callable[[int, int], None] | None,
    cancel: Callable[[], bool] | None,
) -> list[list[Fit]]:
    with ThreadPoolExecutor(min(cores(), count), thread_name_prefix="ex4d-fit") as pool:
        waiting = [pool.submit(work, n) for n in range(count)]
        found = []
        try:
            for n, future in enumerate(waiting):
                if cancel is not None and cancel():
                    raise Cancelled("The fit was cancelled.")
                found.append(future.result())
                if progress is not None:
                    progress(n + 1, count)
        except BaseException:
            for future in waiting:
                future.cancel()
            raise
    return found


def _search(solid: Solid, target: Target) -> list[Fit]:
    colored = target.colors is not None and solid.colors is not None
    poses = [
        _at_depth(solid, target, pose)
        for pose in coarse_poses(target, solid, FIRST_COLORED if colored else FIRST, APART)
    ]
    if colored:
        poses = sorted(poses, key=lambda pose: judge(solid, target, pose).cost)[:FIRST]
    rough = [refine(solid, target, pose, ROUGH_STEPS, ROUGH_WIDTH) for pose in poses]
    fine: list[Fit] = []
    for fit in sorted(rough, key=lambda fit: fit.cost):
        if all(_between(fit.pose, other.pose) > SAME for other in fine):
            fine.append(refine(solid, target, fit.pose, FINE_STEPS, FINE_WIDTH))
        if len(fine) == KEPT:
            break
    return sorted(fine, key=lambda fit: fit.cost)


def _at_depth(solid: Solid, target: Target, pose: np.ndarray) -> np.ndarray:
    """The same view, as far away as the depth says, which changes nothing in the picture."""
    result = pose.copy()
    if target.depth is None:
        result[:3] /= np.linalg.norm(pose[:3, 3])
        return result
    own = solid.depth(solid.points @ pose[:3, :3].T + pose[:3, 3], target.lens)
    both = (own > 0) & (target.depth > 0)
    if both.any():
        result[:3] *= np.median(target.depth[both] / own[both])
    return result


def _between(first: np.ndarray, second: np.ndarray) -> float:
    a, b = (pose[:3, :3] / np.cbrt(np.linalg.det(pose[:3, :3])) for pose in (first, second))
    return float(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1)))


def _equally_large(poses: np.ndarray) -> np.ndarray:
    """Poses (N, 4, 4) of solids, which are all of size 1, nearer or farther so that they stay so; the pictures stay the same."""
    result = poses.copy()
    result[:, :3] /= np.cbrt(np.linalg.det(poses[:, :3, :3]))[:, None, None]
    result[:, :3] /= np.median(np.linalg.norm(result[:, :3, 3], axis=1))
    return result


def _result(
    meshes: MeshFrames,
    lenses: tuple[Intrinsics, ...],
    solids: list[Solid],
    targets: list[Target],
    poses: np.ndarray,
    apart: np.ndarray,
) -> Placed:
    fits = [judge(solid, target, pose) for solid, target, pose in zip(solids, targets, poses, strict=True)]
    poses = np.stack([fit.pose @ solid.own for fit, solid in zip(fits, solids, strict=True)])
    steps = np.array([target.step for target in targets])
    focal = np.array([np.sqrt(target.lens.fx * target.lens.fy) for target in targets])
    return Placed(
        meshes.placed(poses, lenses),
        np.array([fit.iou for fit in fits]),
        np.array([fit.outline for fit in fits]) * steps,
        np.array([fit.depth for fit in fits]) / focal,
        apart,
    )
