"""Horizons along a path: level, and without a flip over the pole."""

import numpy as np
import pytest

from ex4d_core.trajectory.horizon import carry_right


def directions(angle, lean=0.0):
    """A path over the top: forward starts along z, tilts up by ``angle`` degrees, leaning aside."""
    a = np.radians(np.linspace(0, angle, 200))
    path = np.stack([np.full_like(a, np.sin(lean)), -np.sin(a) * np.cos(lean), np.cos(a) * np.cos(lean)], axis=-1)
    return path / np.linalg.norm(path, axis=1, keepdims=True)


@pytest.mark.parametrize("lean", [0.0, 1e-6, 0.01, 0.05, 0.08, 0.15])
def test_the_horizon_never_flips_across_the_pole(lean):
    forward = directions(180, lean)
    rights = carry_right(forward)
    assert np.abs(np.sum(rights * forward, axis=1)).max() < 1e-12
    turn = np.degrees(np.arccos(np.clip(np.sum(rights[1:] * rights[:-1], axis=1), -1, 1)))
    assert turn.max() < 7 * 180 / 199, "the right axis jumped"
    assert abs(rights[-1, 1]) < 1e-9, "level again at the end"


def test_far_from_the_pole_the_camera_is_level():
    rights = carry_right(directions(89))
    assert np.abs(rights[:, 1]).max() == 0
