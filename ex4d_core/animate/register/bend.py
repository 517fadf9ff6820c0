"""A graph bent onto a frame, stiff first and softer then: Gauss-Newton over the turns and shifts of its nodes.

Rigidity is measured against the shape at rest, whatever the solution began from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .graph import Graph
from .pulls import Pulls


@dataclass(frozen=True, eq=False)
class Bend:
    """Turns (N, 3, 3) and shifts (N, 3) of a graph's nodes."""

    turns: np.ndarray
    shifts: np.ndarray

    def carried(self, turn: np.ndarray, shift: np.ndarray, places: np.ndarray) -> Bend:
        """The same after a rigid motion of everything."""
        return Bend(turn @ self.turns, (places + self.shifts) @ turn.T + shift - places)


def at_rest(graph: Graph) -> Bend:
    """No turn and no shift."""
    return Bend(np.tile(np.eye(3), (len(graph.places), 1, 1)), np.zeros_like(graph.places))


def bent(
    graph: Graph,
    start: Bend,
    pulls: Callable[[np.ndarray, float], Pulls],
    stages: tuple[tuple[float, float, int], ...],
) -> Bend:
    """Bend a graph onto what pulls at its vertices.

    Args:
        graph: the nodes.
        start: where to begin.
        pulls: of vertices (V, 3), and the reach within which they search.
        stages: stiffness, reach and number of steps, one after the other.
    """
    bend = start
    for stiffness, reach, steps in stages:
        for _ in range(steps):
            bend = _step(graph, bend, pulls(graph.moved(bend.turns, bend.shifts), reach), stiffness)
    return bend


def _step(graph: Graph, bend: Bend, pulls: Pulls, stiffness: float) -> Bend:
    from scipy.linalg import cho_factor, cho_solve

    vertices = graph.moved(bend.turns, bend.shifts)
    jacobian = _of_vertices(graph, bend)
    residual = (pulls.vector - np.einsum("vij,vj->vi", pulls.matrix, vertices)).reshape(-1)
    weighted = _block_diagonal(pulls.matrix) @ jacobian
    rows, missing = _of_edges(graph, bend)
    weight = stiffness / max(len(graph.edges), 1)
    matrix = (jacobian.T @ weighted + weight * (rows.T @ rows)).toarray()
    matrix[np.diag_indices_from(matrix)] += 1e-9
    step = cho_solve(cho_factor(matrix), jacobian.T @ residual + weight * (rows.T @ missing)).reshape(-1, 6)
    return Bend(turns_of(step[:, :3]) @ bend.turns, bend.shifts + step[:, 3:])


def turns_of(vectors: np.ndarray) -> np.ndarray:
    """(N, 3, 3) rotations by vectors (N, 3): around them, by their length."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(vectors).as_matrix()


def _cross_rows(arms: np.ndarray) -> np.ndarray:
    """(..., 3, 3) matrices that give turn vector x arm."""
    zero = np.zeros(arms.shape[:-1])
    x, y, z = np.moveaxis(arms, -1, 0)
    return np.stack([np.stack([zero, z, -y], -1), np.stack([-z, zero, x], -1), np.stack([y, -x, zero], -1)], -2)


def _of_vertices(graph: Graph, bend: Bend):
    """Sparse (3V, 6N): how vertices move with the nodes' numbers, turns first."""
    arms = graph.arms(bend.turns)
    blocks = np.concatenate([_cross_rows(arms), np.broadcast_to(np.eye(3), (*arms.shape, 3))], axis=-1)
    blocks = blocks * graph.weights[..., None, None]
    count, each = graph.nodes.shape
    columns = (6 * graph.nodes[:, :, None] + np.arange(6)).reshape(count, 1, -1).repeat(3, axis=1)
    return _sparse(
        blocks.transpose(0, 2, 1, 3).reshape(3 * count, 6 * each), columns.reshape(3 * count, -1), 6 * len(graph.places)
    )


def _of_edges(graph: Graph, bend: Bend):
    """Sparse (3E, 6N): how far each node's neighbours are from where its turn would have them, and (3E,) what is missing."""
    one, other = graph.edges.T
    arms = np.einsum("eij,ej->ei", bend.turns[one], graph.places[other] - graph.places[one])
    missing = graph.places[other] + bend.shifts[other] - graph.places[one] - bend.shifts[one] - arms
    unit = np.broadcast_to(np.eye(3), (len(one), 3, 3))
    blocks = np.concatenate([_cross_rows(arms), unit, -unit], axis=-1)
    columns = np.concatenate([6 * one[:, None] + np.arange(6), 6 * other[:, None] + np.arange(3, 6)], axis=1)
    columns = columns[:, None].repeat(3, axis=1).reshape(3 * len(one), -1)
    return _sparse(blocks.reshape(3 * len(one), -1), columns, 6 * len(graph.places)), missing.reshape(-1)


def _sparse(values: np.ndarray, columns: np.ndarray, width: int):
    from scipy.sparse import csr_matrix

    starts = np.arange(len(values) + 1) * values.shape[1]
    return csr_matrix((values.reshape(-1), columns.reshape(-1), starts), (len(values), width))


def _block_diagonal(blocks: np.ndarray):
    from scipy.sparse import bsr_matrix

    return bsr_matrix((blocks, np.arange(len(blocks)), np.arange(len(blocks) + 1))).tocsr()
