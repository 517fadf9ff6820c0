"""Meshes of key frames, of unlike topology, as one mesh that moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np

from ...errors import Cancelled, EX4DError
from ...machine.cancel import POLL_SECONDS
from ..meshes import MeshClip, MeshFrames
from .between import at_times, smoothed
from .follow import Check, Followed, Goal, Reference, followed_surely, goal_of, reference_of, unmoved
from .reference import best_reference

AREA_BOUNDS, VOLUME_BOUNDS = (0.6, 1.67), (0.5, 2.0)
"""What a frame's area and volume may be, against the reference's: beyond, the mesh has collapsed or burst."""
LARGEST_MISS = 0.03
"""Mean distance between the deformed mesh and a frame's own, the worse way, as a share of the object's size."""
MOST_MISSED = 0.03
"""Share of a frame's surface that may be missed: a hand is more."""
NODES = 70

Progress = Callable[[int, int], None]
Cancel = Callable[[], bool]


@dataclass(frozen=True, eq=False)
class Tracks:
    """Points of the object that are followed through the key frames, from wherever they are known.

    Attributes:
        positions: (N, M, 3) at each key frame, in the frame in which the meshes are placed.
        seen: (N, M) bool, whether a position is known.
    """

    positions: np.ndarray
    seen: np.ndarray


@dataclass(frozen=True)
class RegisterOptions:
    """How meshes are registered.

    Attributes:
        reference: which of the meshes gives the topology, from 0; None = the best is found.
        smooth: how far each vertex slides, within the surface, to where the two frames before and after would have it, 0..1.
        every_frame: True = every frame of the video from the first mesh to the last; False = those of the meshes alone.
    """

    reference: int | None = None
    smooth: float = 0.3
    every_frame: bool = True


@dataclass(eq=False)
class Registered:
    """A mesh that moves, and how it came about.

    Attributes:
        clip: the mesh.
        reference: which of the meshes gave the topology.
        checks: of every mesh, how it came out.
        refused: by the number of the mesh, why its frame was refused; it is interpolated.
    """

    clip: MeshClip
    reference: int
    checks: list[Check] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)

    def lines(self, frames: tuple[int, ...]) -> list[str]:
        """What people want to know, in a few words a line."""
        worst = max(
            (max(check.there, check.back) for n, check in enumerate(self.checks) if n not in self.refused), default=0.0
        )
        lines = [
            f"{len(self.clip)} frames, {self.clip.vertices.shape[1]} vertices, {len(self.clip.faces)} faces",
            f"topology of frame {frames[self.reference]}; off its frames' own meshes by {worst:.2%} of the size, at worst",
        ]
        return lines + [f"frame {frames[n]} refused and interpolated: {why}" for n, why in sorted(self.refused.items())]


def register(
    meshes: MeshFrames,
    options: RegisterOptions | None = None,
    *,
    tracks: Tracks | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Registered:
    """Give all frames one topology: that of a reference mesh, deformed onto the meshes of all others.

    From the reference on, both ways in time, each frame begins where its neighbour ended, and is held against the reference at
    rest: as rigid as possible, so that errors do not add up. Closest points count both ways. A frame whose mesh is out of reach,
    or on which area or volume leave their bounds, is refused and interpolated like the frames between.

    Args:
        meshes: of key frames, placed by their poses; without poses, meshes that stand in one frame and unit already.
        options: see `RegisterOptions`.
        tracks: points known through the key frames, as a guide.
        progress: called with (meshes done, meshes).
        cancel: polled before each mesh; True raises Cancelled.

    Returns:
        The mesh that moves, in the source camera's frame where the meshes have poses, and how it came about.

    Raises:
        EX4DError: a reference that is not there, tracks that do not fit, or no frame but the reference that could be reached.
        Cancelled: ``cancel`` returned True.
    """
    options = options or RegisterOptions()
    _check(meshes, options, tracks)
    steps = _Steps(len(meshes), progress, cancel)
    places = [meshes.vertices(n) for n in range(len(meshes))]
    middle = np.median(np.concatenate(places), axis=0)
    unit = float(np.median([np.linalg.norm(np.ptp(points, axis=0)) for points in places]))
    places = [(points - middle) / unit for points in places]
    goals = [goal_of(points, mesh.faces.astype(np.int64)) for points, mesh in zip(places, meshes.meshes, strict=True)]
    chosen = options.reference if options.reference is not None else best_reference(places, goals, steps.look)
    reference = reference_of(places[chosen], goals[chosen].faces, NODES)
    if tracks is not None:
        goals = _guided(goals, reference, chosen, tracks, middle, unit)
    moved, checks, refused = _outwards(reference, goals, chosen, steps)
    kept = [n for n in range(len(meshes)) if n not in refused]
    if len(kept) == 1 < len(meshes):
        raise EX4DError(
            f"The mesh of frame {meshes.frames[chosen]} could be brought onto none of the others "
            f"({next(iter(refused.values()))}). Place the meshes first, or check that they show one object."
        )
    times = [float(meshes.frames[n]) for n in kept]
    found = smoothed(times, np.array([moved[n] for n in kept]), reference.faces, options.smooth)
    wanted = range(meshes.frames[0], meshes.frames[-1] + 1) if options.every_frame else meshes.frames
    vertices = at_times(times, found, [float(time) for time in wanted]) * unit + middle
    clip = MeshClip(
        vertices,
        meshes.meshes[chosen].faces,
        meshes.meshes[chosen].colors,
        fps=meshes.fps,
        space="object" if meshes.poses is None else "camera",
        start=meshes.frames[0],
    )
    return Registered(clip, chosen, checks, refused)


class _Steps:
    """Progress, and the end of work that nobody waits for."""

    def __init__(self, total: int, progress: Progress | None, cancel: Cancel | None) -> None:
        self._total, self._progress, self._cancel, self._done = total, progress, cancel, 0

    def look(self) -> None:
        if self._cancel is not None and self._cancel():
            raise Cancelled("Registering the meshes was cancelled.")

    def done(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


def _check(meshes: MeshFrames, options: RegisterOptions, tracks: Tracks | None) -> None:
    count = len(meshes)
    if not 0 <= options.smooth <= 1:
        raise EX4DError(f"smooth must lie between 0 and 1, got {options.smooth}.")
    if options.reference is not None and not 0 <= options.reference < count:
        raise EX4DError(f"There are meshes 0 to {count - 1}; mesh {options.reference} was asked for as the reference.")
    if tracks is not None:
        shape = np.shape(tracks.positions)
        if len(shape) != 3 or shape[0] != count or shape[2] != 3 or np.shape(tracks.seen) != shape[:2]:
            raise EX4DError(
                f"Tracks of {count} meshes have positions ({count}, M, 3) and what is seen of them ({count}, M); got {shape} and "
                f"{np.shape(tracks.seen)}."
            )


def _guided(
    goals: list[Goal], reference: Reference, chosen: int, tracks: Tracks, middle: np.ndarray, unit: float
) -> list[Goal]:
    """The goals with the places of the reference's vertices that tracks begin at."""
    from scipy.spatial import KDTree

    places = (np.asarray(tracks.positions, np.float64) - middle) / unit
    seen = np.asarray(tracks.seen, bool) & np.isfinite(places).all(axis=-1)
    anchored = np.flatnonzero(seen[chosen])
    if not len(anchored):
        raise EX4DError("No track is seen in the reference's frame. Give tracks through it, or none.")
    away, vertex = map(np.asarray, KDTree(reference.rest).query(places[chosen, anchored]))
    anchored, vertex = anchored[away < NEAR_TRACK], vertex[away < NEAR_TRACK]
    # The track keeps its distance from the vertex that stands for it.
    offsets = reference.rest[vertex] - places[chosen, anchored]
    result = []
    for n, goal in enumerate(goals):
        known = seen[n, anchored]
        result.append(
            Goal(goal.vertices, goal.faces, goal.target, (vertex[known], (places[n, anchored] + offsets)[known]))
        )
    return result


NEAR_TRACK = 0.02
"""How far from the reference a track may begin, as a share of the object's size."""


def _outwards(
    reference: Reference, goals: list[Goal], chosen: int, steps: _Steps
) -> tuple[dict[int, np.ndarray], list[Check], dict[int, str]]:
    """Vertices of every frame that was reached, how each came out, and why others were refused."""
    moved = {chosen: reference.rest}
    checks = {chosen: Check(0.0, 0.0, 0.0, 1.0, 1.0)}
    refused: dict[int, str] = {}
    steps.done()
    with ThreadPoolExecutor(2, thread_name_prefix="ex4d-register") as pool:
        working: dict[Future[tuple[Followed, Check]], tuple[Iterator[int], int, Followed]] = {}

        def go_on(side: Iterator[int], state: Followed) -> None:
            n = next(side, None)
            if n is not None:
                working[pool.submit(followed_surely, reference, goals[n], state)] = side, n, state

        # The two ways in time know nothing of each other.
        for side in (range(chosen + 1, len(goals)), range(chosen - 1, -1, -1)):
            go_on(iter(side), unmoved(reference))
        while working:
            steps.look()
            for future in wait(working, POLL_SECONDS, FIRST_COMPLETED).done:
                side, n, state = working.pop(future)
                reached, checks[n] = future.result()
                why = problem(checks[n])
                if why is None:
                    state, moved[n] = reached, reached.vertices
                else:
                    refused[n] = why
                steps.done()
                go_on(side, state)
    return moved, [checks[n] for n in range(len(goals))], refused


def out_of_bounds(area: float, volume: float) -> str | None:
    """Why a mesh that has so many times its reference's area and volume has collapsed or burst; None where it has not."""
    for what, value, (low, high) in (("area", area, AREA_BOUNDS), ("volume", volume, VOLUME_BOUNDS)):
        if not low <= value <= high:
            return f"its {what} would be {value:.2f} times the reference's"
    return None


def problem(check: Check) -> str | None:
    """Why a frame is refused; None where it is not."""
    if (why := out_of_bounds(check.area, check.volume)) is not None:
        return why
    miss = max(check.there, check.back)
    if not miss <= LARGEST_MISS:
        return f"its mesh is {miss:.1%} of the size away from the deformed reference"
    if check.missed > MOST_MISSED:
        return (
            f"{check.missed:.0%} of its surface was not reached, as where a limb moves too far between two key frames"
        )
    return None
