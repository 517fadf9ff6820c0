"""Faces drawn over a picture."""

from __future__ import annotations

import numpy as np

from ex4d_core.preview.wireframe import SHORT_SIDE, draw_wireframe


def test_edges_lie_where_the_faces_are_and_nowhere_else():
    picture = np.full((30, 40, 3), 100, np.uint8)
    points = np.array([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]])
    drawn = draw_wireframe(picture, points, np.array([[0, 2, 1], [2, 3, 1]]))
    height, width = drawn.shape[:2]
    assert min(height, width) == SHORT_SIDE and width / height == 40 / 30
    lit = drawn[..., 0] > 120
    assert lit[height // 4, width // 2] and lit[height // 2, width // 4] and lit[height // 2, width // 2]
    assert not lit[: height // 4 - 1].any() and not lit[:, : width // 4 - 1].any()
    assert not lit[height // 2 + 20, width // 2 + 20], "inside a face"
    assert (drawn[~lit] == 100).all() and (picture == 100).all()
