"""A mesh that bends with few numbers: nodes spread over its surface, each with a turn and a shift, which its vertices share.

Sumner, Schmid and Pauly, Embedded Deformation for Shape Manipulation, 2007; with turns in place of their affine maps, and ways
along the surface in place of straight ones, so that a hand that lies on a hip does not move with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..surface import area, edges_of

NODES_OF_A_VERTEX = 4


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes of a mesh at rest.

    Attributes:
        places: (N, 3) of the nodes at rest.
        edges: (E, 2) nodes that share vertices, both ways.
        nodes: (V, K) nodes of each vertex.
        weights: (V, K) how much each moves it; they sum to 1.
        rest: (V, 3) the vertices at rest.
    """

    places: np.ndarray
    edges: np.ndarray
    nodes: np.ndarray
    weights: np.ndarray
    rest: np.ndarray

    def moved(self, turns: np.ndarray, shifts: np.ndarray) -> np.ndarray:
        """(V, 3) vertices for nodes with (N, 3, 3) turns and (N, 3) shifts."""
        return np.einsum("vk,vki->vi", self.weights, self.arms(turns) + (self.places + shifts)[self.nodes])

    def arms(self, turns: np.ndarray) -> np.ndarray:
        """(V, K, 3) turned ways from each of a vertex' nodes to it."""
        return np.einsum("vkij,vkj->vki", turns[self.nodes], self.rest[:, None] - self.places[self.nodes])


def graph_of(vertices: np.ndarray, faces: np.ndarray, count: int) -> Graph:
    """Spread nodes over a mesh.

    Args:
        vertices: (V, 3) at rest.
        faces: (F, 3).
        count: about how many nodes.
    """
    from scipy.sparse.csgraph import dijkstra

    lengths = _lengths(vertices, faces)
    radius = 1.1 * np.sqrt(area(vertices, faces) / (np.pi * count))
    chosen: list[int] = []
    ways = np.full(len(vertices), np.inf)
    while not np.isfinite(ways).all() or ways.max() > radius:
        farthest = int(np.argmax(np.where(np.isfinite(ways), ways, 1e30)))
        chosen.append(farthest)
        ways = np.minimum(ways, dijkstra(lengths, directed=False, indices=farthest, limit=4 * radius))
    count = min(NODES_OF_A_VERTEX, len(chosen))
    table = dijkstra(lengths, directed=False, indices=chosen).T
    # Parts that hang together with nothing take the nodes that are close in space, far down the list.
    straight = np.linalg.norm(vertices[:, None] - vertices[chosen][None], axis=-1)
    table = np.where(np.isfinite(table), table, 1e3 * np.ptp(vertices) + straight)
    order = np.argsort(table, axis=1)[:, : count + 1]
    near = np.take_along_axis(table, order, axis=1)
    reach = near[:, -1:] * 1.001 + 1e-12
    weights = np.maximum(1 - near[:, :count] / reach, 1e-6) ** 2
    weights /= weights.sum(axis=1, keepdims=True)
    nodes = order[:, :count]
    pairs = np.stack([np.repeat(nodes, count, axis=1), np.tile(nodes, (1, count))], axis=-1).reshape(-1, 2)
    closest_two = np.argsort(np.linalg.norm(vertices[chosen][:, None] - vertices[chosen][None], axis=-1), axis=1)[
        :, 1:3
    ]
    loose = np.stack([np.repeat(np.arange(len(chosen)), closest_two.shape[1]), closest_two.reshape(-1)], axis=1)
    joined = loose[~np.isfinite(dijkstra(lengths, directed=False, indices=chosen)[:, chosen])[loose[:, 0], loose[:, 1]]]
    pairs = np.unique(np.concatenate([pairs, joined, joined[:, ::-1]]), axis=0)
    return Graph(vertices[chosen], pairs[pairs[:, 0] != pairs[:, 1]], nodes, weights, vertices)


def _lengths(vertices: np.ndarray, faces: np.ndarray):
    from scipy.sparse import coo_matrix

    edges, _ = edges_of(faces)
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    return coo_matrix((np.maximum(length, 1e-12), edges.T), (len(vertices), len(vertices))).tocsr()
