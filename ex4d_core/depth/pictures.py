"""Depth from pictures of it, and from the geometry that point-map networks give.

Convention: pictures are (T, H, W, C) float 0..1, their brightness is the value. Which way it grows is the kind's:
"disparity" and "inverse" towards the camera, "metric" away from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from ..camera import Intrinsics
from ..errors import EX4DError
from ..published import BORDER_DEPTH, NEAREST_DEPTH
from ..trajectory import Trajectory
from .clip import DepthClip
from .convert import brightness, depth_from_inverse, depth_from_metric

PictureKind = Literal["disparity", "inverse", "metric"]
PICTURE_KINDS: tuple[PictureKind, ...] = get_args(PictureKind)
"""What the brightness of a depth picture may mean."""

GREY_TOLERANCE = 0.02
"""Channels of a grey picture differ by less; compression colours it a little."""
LOOKED_AT = 12
"""Frames, at least, that are looked at for colours; a colour map is on all of them."""


def clip_from_pictures(
    images: Tensor, kind: PictureKind, *, near: float | None = None, far: float = BORDER_DEPTH
) -> DepthClip:
    """Grey depth pictures to the depth of a clip.

    Args:
        images: (T, H, W, C) float, C at least 1; of more than three channels the first three.
        kind: "disparity" (larger = nearer, brought to the published range), "inverse" (larger = nearer, spread between
            ``near`` and ``far``) or "metric" (larger = farther, a distance).
        near: depth of the clip's nearest sample, scene units; None keeps metric depth in its own unit. Not used by
            disparity.
        far: depth of the farthest sample (inverse), or what lies beyond is set to it (metric). Not used by disparity.

    Returns:
        (T, H, W) planar depth; its lens is not known.

    Raises:
        EX4DError: no frames, coloured pictures, an unknown kind, inverse depth without ``near``, or pictures that hold no
            depth (see ``depth_from_disparity``, ``depth_from_inverse`` and ``depth_from_metric``).
    """
    if kind not in PICTURE_KINDS:
        raise EX4DError(f"The kind of depth pictures must be one of {', '.join(PICTURE_KINDS)}, got {kind!r}.")
    if images.shape[0] == 0:
        raise EX4DError("The depth pictures are an empty clip; expected at least one.")
    colours = images[..., :3].float()
    if color_spread(colours[:: max(1, len(colours) // LOOKED_AT), ::4, ::4]) > GREY_TOLERANCE:
        raise EX4DError(
            "These depth pictures are coloured, so brightness is not distance. Switch the colour map of what made them "
            "off (grey output) and run again."
        )
    grey = brightness(colours)
    if kind == "disparity":
        return DepthClip.from_disparity(grey)
    if kind == "inverse":
        if near is None:
            raise EX4DError(f"near must be above 0 for inverse depth; EX-4D's is {NEAREST_DEPTH:.3f}.")
        return DepthClip(depth_from_inverse(grey, near=near, far=far))
    return DepthClip(depth_from_metric(grey, near=near, far=far))


def color_spread(images: Tensor) -> float:
    """The largest difference between two channels of a pixel of (T, H, W, C); pixels that are not numbers are left out."""
    # Channel by channel, since reductions over a last axis of three are slow.
    channels = images.contiguous().unbind(-1)
    return float((reduce(torch.maximum, channels) - reduce(torch.minimum, channels)).nan_to_num().max())


def clip_from_geometry(
    geometry: Mapping[str, Any], *, near: float | None = None, far: float = BORDER_DEPTH
) -> DepthClip:
    """What MoGe or Depth Anything 3 say of a clip, to its depth and lens.

    Args:
        geometry: ``depth`` (T, H, W) or (1, T, H, W), larger = farther; optionally ``mask`` (bool, True = has depth) or
            ``sky`` (probability) of the same shape, and ``intrinsics``: (T, 3, 3) in shares of the picture (MoGe), or
            (1, T, 3, 3) in pixels of any size (Depth Anything 3). Other keys are not read.
        near: depth of the clip's nearest sample, scene units; None keeps the geometry's own unit.
        far: where the sky goes, and what lies beyond.

    Returns:
        (T, H, W) planar depth, with the first frame's lens where the geometry has one.

    Raises:
        EX4DError: no depth, a mask of another shape, or depth that is none (``depth_from_metric``).
    """
    if not isinstance(geometry, Mapping) or not isinstance(geometry.get("depth"), Tensor):
        raise EX4DError(
            "This geometry holds no depth; expected what MoGe or Depth Anything 3 put out, a dictionary whose depth is a "
            "tensor (frames, height, width)."
        )
    depth = geometry["depth"].float().clone()
    depth = depth if depth.ndim == 3 else depth.reshape(-1, *depth.shape[-2:])
    unseen = ~torch.isfinite(depth)
    if isinstance(geometry.get("mask"), Tensor):
        unseen |= ~_of_depths_shape(geometry, "mask", depth).bool()
    if isinstance(geometry.get("sky"), Tensor):
        unseen |= _of_depths_shape(geometry, "sky", depth).float() >= 0.5
    depth[unseen] = torch.inf  # sky: depth_from_metric puts it at ``far``
    return DepthClip(depth_from_metric(depth, near=near, far=far), _geometry_lens(geometry, depth))


def _of_depths_shape(geometry: Mapping[str, Any], name: str, depth: Tensor) -> Tensor:
    """A mask of the geometry in the shape of its depth (T, H, W)."""
    mask = geometry[name]
    if mask.numel() != depth.numel() or mask.shape[-2:] != depth.shape[-2:]:
        raise EX4DError(
            f"This geometry's {name} has the shape {tuple(mask.shape)}, its depth {tuple(depth.shape)}. Both must have "
            "one size; give the network's output unchanged."
        )
    return mask.reshape(depth.shape).to(depth.device)


def path_from_geometry(geometry: Mapping[str, Any]) -> Trajectory:
    """The camera's path that Depth Anything 3 found in a clip, in its own unit and world.

    Args:
        geometry: ``extrinsics`` (1, T, 3, 4) or (1, T, 4, 4), world to camera, OpenCV; ``depth`` as in
            ``clip_from_geometry`` and, where it has them, ``intrinsics`` for every frame.

    Raises:
        EX4DError: no cameras in it, another number of lenses, or poses that are not rigid.
    """
    extrinsics, depth = (
        geometry.get(name) if isinstance(geometry, Mapping) else None for name in ("extrinsics", "depth")
    )
    if not isinstance(extrinsics, Tensor) or not isinstance(depth, Tensor):
        raise EX4DError(
            "This geometry holds no cameras. Depth Anything 3 puts them out where it is run on the whole clip as several "
            "views of one scene (Small and Base models)."
        )
    poses = extrinsics.double().cpu().reshape(-1, *extrinsics.shape[-2:]).numpy()
    matrices = geometry.get("intrinsics")
    lenses = None
    if isinstance(matrices, Tensor):
        if matrices.numel() not in (9, 9 * len(poses)):
            raise EX4DError(
                f"This geometry has {len(poses)} camera poses and lenses of shape {tuple(matrices.shape)}; expected one lens, or "
                "one for each pose. Give the network's output unchanged."
            )
        height, width = depth.shape[-2:]
        each = [_lens_of(matrix, width, height) for matrix in matrices.reshape(-1, 3, 3).double().cpu()]
        lenses = tuple(lens for lens in each if lens is not None) * (len(poses) // len(each))
    return Trajectory(poses, lenses if lenses and len(lenses) == len(poses) else None)


def _geometry_lens(geometry: Mapping[str, Any], depth: Tensor) -> Intrinsics | None:
    """The lens of the first frame; None where the geometry has none."""
    matrix = geometry.get("intrinsics")
    if not isinstance(matrix, Tensor):
        return None
    height, width = depth.shape[-2:]
    return _lens_of(matrix.reshape(-1, 3, 3)[0].double(), width, height)


def _lens_of(matrix: Tensor, width: int, height: int) -> Intrinsics | None:
    """A (3, 3) matrix of either unit as a lens for this size; None where its principal point tells no unit."""
    # Both put the principal point at the centre, which tells the unit: 0.5 = shares, else pixels of the model's input.
    across, down = float(matrix[0, 2]) * 2, float(matrix[1, 2]) * 2
    if not (across > 0 and down > 0):
        return None
    fx, fy = float(matrix[0, 0]) * width / across, float(matrix[1, 1]) * height / down
    return Intrinsics(fx, fy, width / 2, height / 2, width, height)
