"""One reference mesh carried onto the mesh of another frame: rigidly, then bent by a graph, then vertex by vertex."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..surface import area, distances, on_border, samples, signed_volume, vertex_areas, vertex_normals
from .bend import Bend, at_rest, bent, turns_of
from .graph import Graph, graph_of
from .isometric import Springs, refined, springs_of
from .pulls import Pulls, Target, pulls_on, target_of, trust, with_normals
from .stretch import strain, stretched, vertex_stretches

BEND_STAGES = ((3.0, 0.2, 4), (0.5, 0.12, 5), (0.1, 0.08, 5), (0.03, 0.06, 4))
"""Stiffness, reach as a share of the object, steps: stiff and far-sighted first."""
SOFT_STAGES = BEND_STAGES[1:]
"""For bodies that are squashed: as a stiff whole they would be carried past what they have to meet."""
SQUASHED = 0.06
"""Strain from which on a body is taken to be squashed, not bent: articulated ones stay below 0.05."""
SQUASHED_STAGES = BEND_STAGES[1:3]
STRETCH_STAGES = ((1.0, 3e-4, 0.06, 4),)
"""Stiffness between neighbours, that against stretch, reach and steps, of a body that is squashed."""
FINE_STAGES = ((0.03**2, 0.06, 4), (0.02**2, 0.04, 4))
RIGID_STEPS = 8
GOAL_SAMPLES = 6000


@dataclass(frozen=True, eq=False)
class Reference:
    """The mesh whose topology all frames get, in units of its own size.

    Attributes:
        rest: (V, 3) where its vertices are at rest.
        faces: (F, 3).
        graph: its nodes.
        springs: its edges.
        border: (V,) vertices at the edge of a hole.
        area: at rest.
        volume: at rest.
    """

    rest: np.ndarray
    faces: np.ndarray
    graph: Graph
    springs: Springs
    border: np.ndarray
    area: float
    volume: float


def reference_of(vertices: np.ndarray, faces: np.ndarray, nodes: int) -> Reference:
    """A mesh (V, 3), (F, 3) ready to be carried."""
    return Reference(
        vertices,
        faces,
        graph_of(vertices, faces, nodes),
        springs_of(vertices, faces),
        on_border(faces, len(vertices)),
        area(vertices, faces),
        signed_volume(vertices, faces),
    )


@dataclass(frozen=True, eq=False)
class Goal:
    """One frame's mesh, in the reference's unit, and what is known of points of the reference there.

    Attributes:
        vertices: (V, 3) of the frame's own mesh.
        faces: (F, 3).
        target: the same, ready to be searched.
        guides: vertices of the reference, and the (M, 3) places where tracks have them.
    """

    vertices: np.ndarray
    faces: np.ndarray
    target: Target
    guides: tuple[np.ndarray, np.ndarray] = field(default_factory=lambda: (np.zeros(0, np.int64), np.zeros((0, 3))))


def goal_of(vertices: np.ndarray, faces: np.ndarray) -> Goal:
    """A frame's mesh (V, 3), (F, 3), in the reference's unit."""
    return Goal(vertices, faces, target_of(samples(vertices, faces, GOAL_SAMPLES), 1.0))


@dataclass(frozen=True, eq=False)
class Followed:
    """A reference on a frame.

    Attributes:
        bend: of its graph, from which a neighbour can begin.
        vertices: (V, 3).
        squashed: whether its nodes are stretched too.
    """

    bend: Bend
    vertices: np.ndarray
    squashed: bool = False


def unmoved(reference: Reference) -> Followed:
    """The reference on its own frame."""
    return Followed(at_rest(reference.graph), reference.rest)


GUIDED = 2.0
"""How much tracks pull, all together, against 1 for all closest points from the reference."""


def _pulls(reference: Reference, goal: Goal, vertices: np.ndarray, reach: float) -> Pulls:
    result = pulls_on(vertices, reference.faces, reference.border, goal.target, reach)
    index, places = goal.guides
    if len(index):
        weights = np.full(len(index), GUIDED / len(index)) * _nearness(vertices[index] - places, 3 * reach)
        result.add(index, places, np.zeros_like(places), weights, 1.0)
    return result


def _nearness(ways: np.ndarray, reach: float) -> np.ndarray:
    return np.maximum(1 - (ways**2).sum(axis=1) / reach**2, 0) ** 2


DOUBT = 0.005
"""Share of a frame's surface from which on what was missed is worth a second try."""


def followed_surely(reference: Reference, goal: Goal, neighbour: Followed) -> tuple[Followed, Check]:
    """Carry the reference onto a frame; where it misses some of it, once more and softer, and the better of both counts."""
    reached = follow(reference, goal, neighbour)
    check = checked(reference, goal, reached.vertices)
    if check.missed <= DOUBT:
        return reached, check
    softer = follow(reference, goal, neighbour, stages=SOFT_STAGES)
    again = checked(reference, goal, softer.vertices)
    return (softer, again) if again.missed < check.missed else (reached, check)


def follow(
    reference: Reference,
    goal: Goal,
    neighbour: Followed,
    *,
    fine: bool = True,
    stages: tuple[tuple[float, float, int], ...] = BEND_STAGES,
) -> Followed:
    """Carry the reference onto a frame.

    Args:
        reference: the mesh at rest, against which rigidity is measured.
        goal: the frame.
        neighbour: where to begin.
        fine: False = the graph alone, in fewer steps: for a first look.
        stages: stiffness, reach as a share of the object, and steps, one after the other.
    """

    def pulls(vertices: np.ndarray, reach: float) -> Pulls:
        return _pulls(reference, goal, vertices, reach)

    graph = reference.graph
    moved = graph.moved(neighbour.bend.turns, neighbour.bend.shifts)
    turn, shift = _rigid(moved, reference.faces, goal.target)
    start = neighbour.bend.carried(turn, shift, graph.places)
    if not fine:
        bend = bent(graph, start, pulls, tuple((k, reach, 2) for k, reach, _ in stages))
        return Followed(bend, graph.moved(bend.turns, bend.shifts))
    bend = bent(graph, start, pulls, SQUASHED_STAGES if neighbour.squashed else stages)
    springs = reference.springs
    # One that was squashed has to find back from there, too.
    squashed = neighbour.squashed or strain(graph, bend) > SQUASHED
    if squashed:
        bend = stretched(graph, bend, pulls, STRETCH_STAGES)
        springs = springs.stretched(vertex_stretches(graph, bend))
    vertices = refined(springs, graph.moved(bend.turns, bend.shifts), pulls, FINE_STAGES)
    return Followed(bend, vertices, squashed)


def _rigid(vertices: np.ndarray, faces: np.ndarray, target: Target) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) turn and (3,) shift that take a mesh closest to a frame's: iterated closest points, point to plane."""
    turn, shift = np.eye(3), np.zeros(3)
    areas = vertex_areas(vertices, faces)
    rest_normals = vertex_normals(vertices, faces)
    for step in range(RIGID_STEPS):
        points, normals = vertices @ turn.T + shift, rest_normals @ turn.T
        _, to = target.tree.query(with_normals(points, normals, target.size))  # type: ignore[attr-defined]
        goal, across = target.samples.points[to], target.samples.normals[to]
        weights = areas * trust(points - goal, normals, across, 0.3 if step < RIGID_STEPS // 2 else 0.12)
        rows = np.concatenate([np.cross(points, across), across], axis=1)
        matrix = rows.T @ (weights[:, None] * rows) + 1e-6 * areas.sum() * np.eye(6)
        change = np.linalg.solve(matrix, rows.T @ (weights * ((goal - points) * across).sum(axis=1)))
        more = turns_of(change[None, :3])[0]
        turn, shift = more @ turn, more @ shift + change[3:]
    return turn, shift


FAR = 0.05
"""Distance, as a share of the object's size, beyond which a place of the frame's surface counts as missed."""


@dataclass(frozen=True)
class Check:
    """How a frame came out.

    Attributes:
        there: mean distance of the deformed mesh from the frame's, as a share of the object's size.
        back: mean distance of the frame's from the deformed mesh.
        missed: share of the frame's surface that is farther than `FAR` from the deformed mesh: a limb that it did not follow.
        area: of the deformed mesh, against that at rest.
        volume: likewise.
    """

    there: float
    back: float
    missed: float
    area: float
    volume: float


def checked(reference: Reference, goal: Goal, vertices: np.ndarray) -> Check:
    """Distances both ways, area and volume of a deformed reference (V, 3)."""
    own = vertex_areas(vertices, reference.faces)
    there = distances(vertices, goal.vertices, goal.faces)
    back = distances(goal.target.samples.points[::3], vertices, reference.faces)
    return Check(
        float((there * own).sum() / own.sum()),
        float(back.mean()),
        float((back > FAR).mean()),
        area(vertices, reference.faces) / reference.area,
        signed_volume(vertices, reference.faces) / reference.volume,
    )
