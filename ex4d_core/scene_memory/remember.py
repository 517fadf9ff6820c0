"""A clip's memory: what stands still is found, fused, and told apart from what nobody saw."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..camera import Intrinsics
from ..errors import Cancelled, EX4DError
from ..mesh import DWMesh
from .keyframes import choose_frames
from .layer import Layer, fuse
from .sights import Sights
from .solids import Solids
from .stillness import RULES, STRICTNESS, Strictness, judge

log = logging.getLogger(__name__)

MOST_FRAMES = 32
"""Frames that a memory may be made of."""
MOSTLY_STILL = 0.5
"""Where less than this share of a clip stands still under a fixed camera, it has probably moved."""
DEFAULT_FRAMES = 8


@dataclass(frozen=True, eq=False)
class SceneMemory:
    """The parts of a clip's scene that stand still, as one surface in the world; and what of the unseen is taken to be solid.

    Attributes:
        layer: the surface.
        frames: of the clip that it is made of; the witnesses.
        solids: of the T frames of the mesh that it is for.
        moving: (T, h, w) bool, cells of the solids that move: nothing that another frame saw tells about them.
        witnesses: solids of ``frames``.
        poses, lenses: (K, 4, 4) world_to_camera and the lenses of the source camera at ``frames``.
        tolerance: share of depth by which two sights of one surface may differ.
        still_share: share of the clip that was found to stand still, 0..1.
    """

    layer: Layer
    frames: tuple[int, ...]
    solids: Solids
    moving: Tensor
    witnesses: Solids
    poses: np.ndarray
    lenses: tuple[Intrinsics, ...]
    tolerance: float
    still_share: float

    def part(self, frames: slice | Sequence[int]) -> SceneMemory:
        """The same memory for some of the mesh's frames, as `DWMesh.part` takes them."""
        chosen = frames if isinstance(frames, slice) else list(frames)
        solids = Solids(self.solids.front[chosen], self.solids.back[chosen])
        return replace(self, solids=solids, moving=self.moving[chosen])

    def to(self, device: torch.device) -> SceneMemory:
        """The same memory on another device; itself where it lies there."""
        if self.moving.device == device:
            return self
        layer = Layer(*(part.to(device) for part in vars(self.layer).values()))
        solids, witnesses = (
            Solids(some.front.to(device), some.back.to(device)) for some in (self.solids, self.witnesses)
        )
        return replace(self, layer=layer, solids=solids, moving=self.moving.to(device), witnesses=witnesses)


def remember_scene(
    mesh: DWMesh,
    *,
    frames: int = DEFAULT_FRAMES,
    strictness: Strictness = "normal",
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> SceneMemory:
    """What a clip remembers of its scene, for `render_color_mask`.

    Things that move never enter it, found by depth and colour that disagree once brought from one frame to another: what rests
    for half of the clip and then goes is contradicted by the other half. Which frame shows a place is settled here, once for
    the shot, so that nothing pops. Where the depth is noisier than the rule allows for, a place is the mean of what the frames
    that agree about it say.

    Args:
        mesh: the clip's surfaces. Where it has no source camera, that is taken as fixed.
        frames: of the clip that are kept, at most, 1..32; fewer where fewer show all.
        strictness: "strict" takes only what every frame agrees about; "loose" is for depth that flickers. Noise of the depth is
            measured, and allowed for, in any case.
        progress: called with (steps done, steps).
        cancel: polled once a step; True raises Cancelled.

    Returns:
        The memory; empty where the clip has one frame, or nothing stands still.

    Raises:
        EX4DError: parameters out of range.
        Cancelled: ``cancel`` returned True.

    Memory: 250 bytes a pixel while it works, 50 a pixel and frame kept, and 4 a pixel and frame of the clip where depth is
    noisy; the result 60 a pixel and 2 a pixel and frame of the clip.

    Example:
        >>> from ex4d_core import build_dw_mesh
        >>> mesh = build_dw_mesh(torch.rand(1, 32, 32, 3).expand(5, -1, -1, -1), torch.full((5, 32, 32), 4.0))
        >>> remember_scene(mesh).still_share > 0.9
        True
    """
    if not isinstance(frames, (int, np.integer)) or not 1 <= frames <= MOST_FRAMES:
        raise EX4DError(f"A memory is made of 1 to {MOST_FRAMES} frames, got {frames}.")
    if strictness not in STRICTNESS:
        raise EX4DError(f"The memory's strictness is one of {', '.join(STRICTNESS)}, got {strictness!r}.")
    if mesh.device.type == "mps":  # which has no float64
        mesh = replace(mesh, rgb=mesh.rgb.cpu(), depth=mesh.depth.cpu())
    rule, sights = RULES[strictness], Sights.of(mesh)
    done, steps = 0, 3 * mesh.frames + 2 * min(frames, mesh.frames)

    def step() -> None:
        nonlocal done
        if cancel is not None and cancel():
            raise Cancelled("Remembering the scene was cancelled.")
        done += 1
        if progress is not None:
            progress(min(done, steps), steps)

    choice = choose_frames(sights, frames, rule, step)
    rule = choice.rule
    if mesh.source_camera is None and mesh.frames > 1 and choice.still_share < MOSTLY_STILL:
        log.warning(
            "The clip has no source camera, so it is taken as fixed, and only %.0f %% of it stands still then. If the camera "
            "moved, give its path: little is remembered without.",
            100 * choice.still_share,
        )
    chosen = list(choice.frames)
    layer = Layer.nothing(mesh.device)
    if chosen:
        found = judge(sights, chosen, rule, step, choice.bodies[chosen])
        noisy = rule.depth > RULES[strictness].depth
        surfaces = sights.with_depth(chosen, found.depth) if noisy else sights
        layer = fuse(surfaces, chosen, found.still, rule, step)
    solids = Solids.empty(sights, mesh.frames)
    for t in range(mesh.frames):
        step()
        solids.fill(t, sights, t)
    if progress is not None and done < steps:
        progress(steps, steps)
    moving = F.interpolate(choice.moved[:, None].float(), solids.front.shape[1:], mode="nearest")
    return SceneMemory(
        layer,
        choice.frames,
        solids,
        F.max_pool2d(moving, 3, 1, 1)[:, 0] > 0,
        Solids(solids.front[chosen], solids.back[chosen]),
        sights.poses[chosen],
        tuple(mesh.lens(t) for t in chosen),
        rule.depth,
        choice.still_share,
    )
