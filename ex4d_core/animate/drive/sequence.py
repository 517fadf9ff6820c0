"""One mesh moved so that it fills the object's mask, lies on its depth and follows its tracks in every frame of a video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ...camera import Intrinsics
from ...errors import Cancelled, EX4DError
from ..meshes import MeshClip, MeshFrames
from ..register.bend import bent, turns_of
from ..register.between import at_times, smoothed
from ..register.follow import Followed, Reference, reference_of, unmoved
from ..register.isometric import refined
from ..register.pulls import Pulls
from ..register.sequence import NODES, out_of_bounds
from ..surface import area, signed_volume
from ..tracks import PictureTracks, on_surface
from .frame import NO_ANCHORS, Anchors, Shown, shown_by
from .pulls import depth_off, outline_off, overlap, pulls_of, view_of

RIGID_STAGES = ((0.15, 3), (0.08, 3))
"""Reach as a share of the object, steps."""
BEND_STAGES = ((3.0, 0.12, 3), (0.5, 0.08, 3), (0.1, 0.06, 3), (0.03, 0.05, 2))
FINE_STAGES = ((0.03**2, 0.04, 2),)
LEAST_OVERLAP = 0.7
"""IoU of mesh and mask below which a frame is refused."""
MOST_DEEP = 0.06
"""Of the object's size that the mesh may lie before or behind the depth."""

Progress = Callable[[int, int], None]
Cancel = Callable[[], bool]


@dataclass(frozen=True)
class DriveOptions:
    """How a mesh is driven.

    Attributes:
        first: the first of the video's frames that the clip shows.
        last: the last; None = the video's.
        smooth: how far each vertex slides, within the surface, to where the two frames before and after would have it, 0..1.
    """

    first: int = 0
    last: int | None = None
    smooth: float = 0.3


@dataclass(frozen=True)
class Sight:
    """How a frame came out.

    Attributes:
        overlap: IoU of mesh and mask, 0..1.
        outline: mean distance of the mesh's outline from the mask's, as a share of the object's size.
        deep: median distance of the mesh from the depth, likewise; NaN without depth.
        area: against that at rest.
        volume: likewise.
    """

    overlap: float
    outline: float
    deep: float
    area: float
    volume: float


@dataclass(eq=False)
class Driven:
    """A mesh that moves with a video, and how it came about.

    Attributes:
        clip: the mesh, in the frame of each frame's camera.
        sights: by the number of the frame, how it came out.
        refused: by the number of the frame, why it was refused; it is interpolated.
        tracks: how many points of the video were followed on the mesh.
    """

    clip: MeshClip
    sights: dict[int, Sight] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    tracks: int = 0

    def lines(self) -> list[str]:
        """What people want to know, in a few words a line."""
        met = [sight for frame, sight in self.sights.items() if frame not in self.refused]
        lines = [
            f"{len(self.clip)} frames, {self.clip.vertices.shape[1]} vertices, {len(self.clip.faces)} faces, "
            f"{self.tracks} tracks",
            f"IoU of mesh and mask {np.median([sight.overlap for sight in met]):.3f}, at worst "
            f"{min(sight.overlap for sight in met):.3f}",
        ]
        return lines + [f"frame {frame} refused and interpolated: {why}" for frame, why in sorted(self.refused.items())]


def drive(
    mesh: MeshFrames,
    masks: np.ndarray,
    lens: Intrinsics,
    *,
    lenses: tuple[Intrinsics, ...] | None = None,
    depth: np.ndarray | None = None,
    tracks: PictureTracks | None = None,
    options: DriveOptions | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Driven:
    """Move one mesh with the object of a video.

    From the frame that the mesh was made of, both ways in time, each frame begins where its neighbour ended and is held against
    the mesh at rest, as rigid as possible. Its outline is drawn to the mask's, what the camera sees of it to the depth, and
    points that are followed stay on their tracks. What nothing shows moves with what it hangs on.

    Args:
        mesh: one mesh with its pose, of one of the frames: as `fit_meshes` gives it.
        masks: (T, H, W) float 0..1 or bool, 1 = the object.
        lens: the video's.
        lenses: T of them, where the lens changes.
        depth: (T, H, W) planar depth > 0 in the unit of the pose, or None: then nothing but its size in the picture tells how
            far away the object is.
        tracks: points followed through the video; those that begin on the mesh count.
        options: see `DriveOptions`.
        progress: called with (frames done, frames).
        cancel: polled before each frame; True raises Cancelled.

    Raises:
        EX4DError: more than one mesh, a mesh without a pose, frames that are not there, sizes that differ, a mask of the mesh's
            own frame that shows no object, no frame but that one that could be reached.
        Cancelled: ``cancel`` returned True.
    """
    options = options or DriveOptions()
    span = _checked(mesh, masks, depth, tracks, options)
    placed, faces, began = mesh.vertices(0), mesh.meshes[0].faces.astype(np.int64), mesh.frames[0]
    unit = float(np.linalg.norm(np.ptp(placed, axis=0)))
    reference = reference_of(placed / unit, faces, NODES)
    shape = (masks.shape[2], masks.shape[1])

    def lens_of(frame: int) -> Intrinsics:
        return (lens if lenses is None else lenses[frame]).fitted(*shape)

    def shown(frame: int, anchors: Anchors) -> Shown:
        plane = None if depth is None else np.asarray(depth[frame], np.float64)
        spots = np.zeros((0, 2)) if tracks is None else tracks.spots(frame)[anchors.tracks]
        return shown_by(np.asarray(masks[frame], np.float32), lens_of(frame), plane, frame, unit, anchors, spots)

    def anchored(frame: int, vertices: np.ndarray, known: Anchors) -> Anchors:
        return known if tracks is None else _anchored(tracks.spots(frame), vertices, faces, lens_of(frame), known)

    run = _Run(reference, shown, anchored, began, span, progress, cancel)
    run.all()
    times = sorted(run.moved)
    if len(times) == 1 < len(span):
        raise EX4DError(
            f"The mesh of frame {began} could follow the object into no other frame ({next(iter(run.refused.values()))}). "
            "Check its fit, and that masks and depth are of the same video."
        )
    found = smoothed([float(t) for t in times], np.array([run.moved[t] for t in times]), faces, options.smooth)
    vertices = at_times([float(t) for t in times], found, [float(t) for t in span]) * unit
    clip = MeshClip(vertices, faces, mesh.meshes[0].colors, fps=mesh.fps, space="camera", start=span[0])
    return Driven(clip, run.sights, run.refused, len(run.followed))


def _checked(
    mesh: MeshFrames, masks: np.ndarray, depth: np.ndarray | None, tracks: PictureTracks | None, options: DriveOptions
) -> range:
    if len(mesh) != 1:
        raise EX4DError(
            f"One mesh is driven through the video; got those of {len(mesh)} frames. Register these, or give one."
        )
    if mesh.poses is None:
        raise EX4DError("It is not known where the mesh stands in its frame. Fit it to the video first.")
    if masks.ndim != 3:
        raise EX4DError(f"Masks have the shape (frames, height, width), got {tuple(masks.shape)}.")
    if mesh.frames[0] >= len(masks):
        raise EX4DError(
            f"The mesh is of frame {mesh.frames[0]}, counted from 0, and there are masks for {len(masks)} frames."
        )
    if depth is not None and tuple(depth.shape) != tuple(masks.shape):
        raise EX4DError(
            f"Masks and depth must belong to the same video: the masks are {tuple(masks.shape)} (frames, height, width), "
            f"the depth is {tuple(depth.shape)}."
        )
    if tracks is not None and len(tracks) != len(masks):
        raise EX4DError(f"Masks and tracks must belong to the same video: {len(masks)} and {len(tracks)} frames.")
    if not 0 <= options.smooth <= 1:
        raise EX4DError(f"smooth must lie between 0 and 1, got {options.smooth}.")
    last = len(masks) - 1 if options.last is None else options.last
    if not 0 <= options.first <= mesh.frames[0] <= last < len(masks):
        raise EX4DError(
            f"Frames {options.first} to {last} were asked for; expected some of 0 to {len(masks) - 1}, with the mesh's own, "
            f"{mesh.frames[0]}, among them."
        )
    return range(options.first, last + 1)


def _anchored(spots: np.ndarray, vertices: np.ndarray, faces: np.ndarray, lens: Intrinsics, known: Anchors) -> Anchors:
    """The anchors known so far, and those of tracks at ``spots`` (M, 2) that lie on the mesh for the first time."""
    number = np.setdiff1d(np.flatnonzero(np.isfinite(spots).all(axis=1)), known.tracks)
    found = on_surface(spots[number], vertices, faces, lens)
    return known.grown(Anchors(number[found.hit], found.face[found.hit], found.shares[found.hit]))


class _Run:
    """Frame after frame, outwards from the mesh's own."""

    def __init__(
        self,
        reference: Reference,
        shown: Callable[[int, Anchors], Shown],
        anchored: Callable[[int, np.ndarray, Anchors], Anchors],
        began: int,
        span: range,
        progress: Progress | None,
        cancel: Cancel | None,
    ) -> None:
        self._reference, self._shown, self._anchored = reference, shown, anchored
        self._began, self._span = began, span
        self._progress, self._cancel = progress, cancel
        self.moved: dict[int, np.ndarray] = {}
        self.sights: dict[int, Sight] = {}
        self.refused: dict[int, str] = {}
        self.followed: set[int] = set()

    def all(self) -> None:
        """Every frame of the span."""
        # A mesh that was made up differs from what its own frame shows, too.
        self._poll()
        first = self._anchored(self._began, self._reference.rest, NO_ANCHORS)
        own = self._frame(self._shown(self._began, first), self._began, unmoved(self._reference))
        if self._began in self.refused:
            raise EX4DError(
                f"The mesh does not fit its own frame {self._began}: {self.refused[self._began]}. Fit it to the video anew."
            )
        for side in (range(self._began + 1, self._span.stop), range(self._began - 1, self._span.start - 1, -1)):
            state, anchors = own, first
            for frame in side:
                self._poll()
                try:
                    shown = self._shown(frame, anchors)
                except EX4DError as nothing:  # the object is out of the picture, or its mask is
                    self.refused[frame] = str(nothing)
                    self._done()
                    continue
                state = self._frame(shown, frame, state)
                if frame in self.moved:
                    anchors = self._anchored(frame, state.vertices, anchors)
            self.followed.update(anchors.tracks.tolist())

    def _frame(self, shown: Shown, frame: int, before: Followed) -> Followed:
        reached = follow_video(self._reference, shown, before)
        self.sights[frame] = sight = sighted(self._reference, shown, reached.vertices)
        if (why := problem(sight)) is None:
            self.moved[frame] = reached.vertices
        else:
            self.refused[frame], reached = why, before
        self._done()
        return reached

    def _poll(self) -> None:
        if self._cancel is not None and self._cancel():
            raise Cancelled("Driving the mesh was cancelled.")

    def _done(self) -> None:
        if self._progress is not None:
            self._progress(len(self.moved) + len(self.refused), len(self._span))


def follow_video(reference: Reference, shown: Shown, before: Followed) -> Followed:
    """The mesh moved from one frame to its neighbour.

    Args:
        reference: the mesh at rest.
        shown: the frame.
        before: where to begin.
    """
    graph = reference.graph

    def pulls(moved: np.ndarray, reach: float) -> Pulls:
        return pulls_of(reference, shown, vertices, moved, reach)

    start, vertices = before.bend, before.vertices
    for reach, steps in RIGID_STAGES:
        for _ in range(steps):
            turn, shift = _rigid_step(vertices, pulls_of(reference, shown, vertices, vertices, reach))
            start, vertices = start.carried(turn, shift, graph.places), vertices @ turn.T + shift
    bend = bent(graph, start, pulls, BEND_STAGES)
    return Followed(bend, refined(reference.springs, graph.moved(bend.turns, bend.shifts), pulls, FINE_STAGES))


def _rigid_step(vertices: np.ndarray, pulls: Pulls) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) turn and (3,) shift of everything that meets the pulls best, to first order."""
    middle = vertices.mean(axis=0)
    x, y, z = (vertices - middle).T
    zero = np.zeros_like(x)
    cross = np.stack([np.stack([zero, z, -y], 1), np.stack([-z, zero, x], 1), np.stack([y, -x, zero], 1)], 1)
    motion = np.concatenate([cross, np.broadcast_to(np.eye(3), cross.shape)], axis=2)
    weighted = np.einsum("vij,vjk->vik", pulls.matrix, motion)
    residual = pulls.vector - np.einsum("vij,vj->vi", pulls.matrix, vertices)
    normal = np.einsum("vji,vjk->ik", motion, weighted)
    change = np.linalg.solve(normal + 1e-9 * np.eye(6), np.einsum("vji,vj->i", motion, residual))
    turn = turns_of(change[None, :3])[0]
    return turn, middle + change[3:] - turn @ middle


def sighted(reference: Reference, shown: Shown, vertices: np.ndarray) -> Sight:
    """How vertices (V, 3) fit a frame."""
    view = view_of(shown, reference.faces, vertices)
    lens = shown.target.lens
    size = np.sqrt(lens.fx * lens.fy) / float(np.median(vertices[:, 2]))
    return Sight(
        overlap(shown, view),
        outline_off(shown, view) / size,
        depth_off(shown, view),
        area(vertices, reference.faces) / reference.area,
        signed_volume(vertices, reference.faces) / reference.volume,
    )


def problem(sight: Sight) -> str | None:
    """Why a frame is refused; None where it is not."""
    if (why := out_of_bounds(sight.area, sight.volume)) is not None:
        return why
    if not sight.overlap >= LEAST_OVERLAP:
        return f"mesh and mask overlap by {sight.overlap:.0%}"
    if sight.deep > MOST_DEEP:
        return f"the mesh lies {sight.deep:.1%} of its size before or behind the depth"
    return None
