"""A graph whose nodes may stretch as well as turn: for bodies that are squashed.

Rigidity is wrong about a body that is pressed lower and wider: its points would slide over the surface to where edges keep their
lengths. Here each node has an affine map (Sumner, Schmid and Pauly, 2007). Neighbours' maps must agree, which costs nothing where
all is stretched alike, and stretch itself costs little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .bend import Bend
from .graph import Graph
from .pulls import Pulls


def strain(graph: Graph, bend: Bend) -> float:
    """By what share the ways between neighbouring nodes have become longer or shorter, in the middle of all."""
    one, other = graph.edges.T
    now = graph.places + bend.shifts
    before, after = (np.linalg.norm(points[one] - points[other], axis=1) for points in (graph.places, now))
    return float(np.median(np.abs(np.log(np.maximum(after, 1e-12) / before)))) if len(one) else 0.0


def vertex_stretches(graph: Graph, bend: Bend) -> np.ndarray:
    """(V, 3, 3) symmetric maps: what the nodes do to the surface at each vertex before it is turned."""
    maps = np.einsum("vk,vkij->vij", graph.weights, bend.turns[graph.nodes])
    _, sizes, axes = np.linalg.svd(maps)
    return np.einsum("vki,vk,vkj->vij", axes, sizes, axes)


def stretched(
    graph: Graph,
    start: Bend,
    pulls: Callable[[np.ndarray, float], Pulls],
    stages: tuple[tuple[float, float, float, int], ...],
) -> Bend:
    """Maps (N, 3, 3), in place of turns, and shifts of a graph's nodes that meet what pulls at its vertices.

    Args:
        graph: the nodes.
        start: where to begin.
        pulls: of vertices (V, 3), and the reach within which they search.
        stages: stiffness between neighbours, that against stretch, reach and number of steps, one after the other.
    """
    system = _system(graph)
    bend = start
    for stiffness, hold, reach, steps in stages:
        for _ in range(steps):
            bend = _step(graph, system, bend, pulls(graph.moved(bend.turns, bend.shifts), reach), stiffness, hold)
    return bend


@dataclass(frozen=True, eq=False)
class _System:
    """What is linear in the numbers of the nodes, (4N,) for each axis: three of a map's row, and a shift.

    Attributes:
        vertices: sparse (V, 4N).
        fixed: (V, 3) what vertices have without these numbers.
        edges: sparse (E, 4N), by how much neighbours disagree.
        missing: (E, 3) likewise without these numbers.
    """

    vertices: Any
    fixed: np.ndarray
    edges: Any
    missing: np.ndarray


def _system(graph: Graph) -> _System:
    from scipy.sparse import csr_matrix

    width = 4 * len(graph.places)
    arms = graph.rest[:, None] - graph.places[graph.nodes]
    values = graph.weights[..., None] * np.concatenate([arms, np.ones((*arms.shape[:2], 1))], axis=-1)
    columns = 4 * graph.nodes[..., None] + np.arange(4)
    count, each = graph.nodes.shape
    vertices = csr_matrix((values.ravel(), columns.ravel(), 4 * each * np.arange(count + 1)), (count, width))
    one, other = graph.edges.T
    unit = np.ones((len(one), 1))
    values = np.concatenate([graph.places[other] - graph.places[one], unit, -unit], axis=1)
    columns = np.concatenate([4 * one[:, None] + np.arange(4), 4 * other[:, None] + 3], axis=1)
    edges = csr_matrix((values.ravel(), columns.ravel(), 5 * np.arange(len(one) + 1)), (len(one), width))
    fixed = np.einsum("vk,vki->vi", graph.weights, graph.places[graph.nodes])
    return _System(vertices, fixed, edges, graph.places[one] - graph.places[other])


def _step(graph: Graph, system: _System, bend: Bend, pulls: Pulls, stiffness: float, hold: float) -> Bend:
    """The numbers that meet pulls, neighbours and the nearest turns best, while these stay as they are."""
    from scipy.linalg import cho_factor, cho_solve
    from scipy.sparse import diags

    count, weight = len(graph.places), stiffness / max(len(graph.edges), 1)
    u, _, v = np.linalg.svd(bend.turns)
    wanted = np.concatenate([(u @ v).swapaxes(1, 2), bend.shifts[:, None]], axis=1).reshape(-1, 3)
    held = np.tile([hold / count] * 3 + [1e-9], count)
    own = weight * (system.edges.T @ system.edges).toarray() + np.diag(held)
    matrix = np.empty((3, 4 * count, 3, 4 * count))
    for a in range(3):
        for b in range(a, 3):
            block = (system.vertices.T @ diags(pulls.matrix[:, a, b]) @ system.vertices).toarray()
            matrix[a, :, b] = block + own if a == b else block
            matrix[b, :, a] = matrix[a, :, b].T
    residual = pulls.vector - np.einsum("vij,vj->vi", pulls.matrix, system.fixed)
    right = system.vertices.T @ residual - weight * (system.edges.T @ system.missing) + held[:, None] * wanted
    square = matrix.reshape(12 * count, 12 * count)
    solved = cho_solve(cho_factor(square, overwrite_a=True), right.T.ravel()).reshape(3, count, 4)
    return Bend(solved[..., :3].swapaxes(0, 1), solved[..., 3].T)
