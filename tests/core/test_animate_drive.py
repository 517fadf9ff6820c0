"""One mesh moved by a video, held against a body whose every point is known; and a moving mesh filmed in its scene."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from ex4d_core.animate.drive import DriveOptions, drive
from ex4d_core.animate.film import filmed_in_scene
from ex4d_core.animate.meshes import MeshClip, MeshFrames, TriangleMesh
from ex4d_core.animate.surface import closest
from ex4d_core.animate.tracks import PictureTracks, lifted
from ex4d_core.camera import Intrinsics
from ex4d_core.demo_scene.bodies import Body, Flaws
from ex4d_core.demo_scene.marching import zero_surface
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.render import Triangles, render_triangles
from ex4d_core.trajectory import Trajectory

SIDE = 128
LENS = Intrinsics.default(SIDE, SIDE)
BODY = Body("puppet", 2)
TIMES = (0.0, 0.06, 0.12, 0.18)
REST, FACES = BODY.surface(16)

pytestmark = pytest.mark.usefixtures("one_thread")


def still(frames: int) -> Trajectory:
    return Trajectory(np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)))


def spots_of(points: np.ndarray) -> np.ndarray:
    return points[..., :2] / points[..., 2:] * (LENS.fx, LENS.fy) + (LENS.cx, LENS.cy)


@cache
def film() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A puppet's points (T, V, 3), masks and depth."""
    points = np.stack([BODY.moved(REST, time) for time in TIMES]).astype(np.float32)
    mesh = Triangles(torch.from_numpy(points), torch.from_numpy(FACES))
    _, mask, depth = (part.numpy() for part in render_triangles(mesh, still(len(TIMES)), LENS, supersample=2))
    return points.astype(np.float64), mask, depth


@cache
def given(frame: int = 1) -> MeshFrames:
    """What a generator makes of one frame, where it stood."""
    made = BODY.generated(TIMES[frame], frame, Flaws(cells=18))
    mesh = TriangleMesh(made.vertices, made.faces)
    return MeshFrames((frame,), (mesh,), made.pose[None], lenses=(LENS,))


def tracks() -> PictureTracks:
    """Every tenth of the body's points where the camera sees it."""
    points, _, depth = film()
    path = spots_of(points[:, ::10])
    column, row = np.floor(path).astype(int).transpose(2, 0, 1)
    return PictureTracks(path, np.abs(depth[np.arange(len(TIMES))[:, None], row, column] - points[:, ::10, 2]) < 0.08)


@pytest.mark.parametrize(("depth", "bound", "fast_bound"), [(True, 0.02, 0.03), (False, 0.035, 0.055)])
def test_every_point_of_one_mesh_goes_where_the_body_s_own_went(depth: bool, bound: float, fast_bound: float) -> None:
    points, mask, planes = film()
    driven = drive(given(), mask, LENS, depth=planes if depth else None, tracks=tracks())
    assert (len(driven.clip), driven.clip.space, driven.clip.start) == (4, "camera", 0) and not driven.refused
    face, shares = closest(given().vertices(0), points[1], FACES)
    truth = np.einsum("nk,tnki->tni", shares, points[:, FACES[face]])
    off = np.linalg.norm(driven.clip.vertices - truth, axis=2) / BODY.size
    way = np.linalg.norm(truth[3] - truth[1], axis=1) / BODY.size
    fast = way > np.quantile(way, 0.8)
    assert way[fast].mean() > 0.06
    assert off.mean(axis=1).max() < bound and off[3, fast].mean() < fast_bound
    assert min(sight.overlap for sight in driven.sights.values()) > 0.85
    assert driven.tracks > 20 and "4 frames" in driven.lines()[0]


def test_a_ball_that_spins_follows_its_tracks_alone() -> None:
    """Outline and depth say nothing of the turn; points on it do."""
    ball, faces = zero_surface(lambda p: np.linalg.norm(p, axis=1) - 1, np.full(3, -1.1), np.full(3, 1.1), 6)
    turn = np.array([[np.cos(0.2), 0, np.sin(0.2)], [0, 1, 0], [-np.sin(0.2), 0, np.cos(0.2)]])
    away = np.array([0.0, 0.0, 4.0])
    points = np.stack([ball, ball @ turn.T]) + away
    mesh = Triangles(torch.from_numpy(points.astype(np.float32)), torch.from_numpy(faces))
    _, mask, depth = (part.numpy() for part in render_triangles(mesh, still(2), LENS, supersample=2))
    own = MeshFrames((0,), (TriangleMesh(points[0], faces),), np.eye(4)[None])
    seen = np.broadcast_to((ball[:, 2] < -0.5)[None], (2, len(ball)))
    for guide, expected in ((None, 0.0), (PictureTracks(spots_of(points), seen), 0.2)):
        clip = drive(own, mask, LENS, depth=depth, tracks=guide).clip
        before, after = (clip.vertices[t].astype(float) - away for t in (0, 1))
        cross = (before[:, 2] * after[:, 0] - before[:, 0] * after[:, 2]).sum()
        assert np.arctan2(cross, (before[:, ::2] * after[:, ::2]).sum()) == pytest.approx(expected, abs=0.04)


def test_a_frame_that_does_not_show_the_object_is_interpolated() -> None:
    _, mask, depth = film()
    masks = mask.copy()
    masks[2] = 0
    done = []
    driven = drive(
        given(),
        masks,
        LENS,
        depth=depth,
        options=DriveOptions(first=1, smooth=0.0),
        progress=lambda *step: done.append(step),
    )
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert list(driven.refused) == [2] and "mask of frame 2 is empty" in driven.lines()[-1]
    assert (len(driven.clip), driven.clip.start) == (3, 1)
    middle = driven.clip.vertices[[0, 2]].mean(axis=0)
    assert np.abs(driven.clip.vertices[1] - middle).max() < 0.05 * BODY.size


def test_bad_requests_end_in_a_sentence_and_cancelling_ends() -> None:
    _, mask, depth = film()
    one = given()
    two = MeshFrames((0, 1), one.meshes * 2, np.repeat(one.poses, 2, axis=0))
    for mesh, masks, options, told in (
        (two, mask, {}, "One mesh is driven through the video; got those of 2 frames"),
        (MeshFrames((1,), one.meshes), mask, {}, "not known where the mesh stands"),
        (one, mask[:1], {}, "mesh is of frame 1, counted from 0, and there are masks for 1"),
        (one, mask[0], {}, r"shape \(frames, height, width\)"),
        (one, mask, {"depth": depth[:2]}, "Masks and depth must belong to the same video"),
        (one, mask, {"tracks": PictureTracks(np.zeros((2, 3, 2)), np.ones((2, 3)))}, "Masks and tracks must belong"),
        (one, mask, {"options": DriveOptions(first=2)}, "Frames 2 to 3 were asked for"),
        (one, mask, {"options": DriveOptions(smooth=3)}, "smooth must lie between 0 and 1"),
        (one, np.zeros_like(mask), {}, "mask of frame 1 is empty"),
        (one, mask[:, :, ::-1], {"depth": depth * 3}, "does not fit its own frame 1"),
    ):
        with pytest.raises(EX4DError, match=told):
            drive(mesh, masks, LENS, **options)
    with pytest.raises(EX4DError, match=r"places \(frames, points, 2\)"):
        PictureTracks(np.zeros((4, 3)), np.ones((4, 3)))
    with pytest.raises(Cancelled):
        drive(one, mask, LENS, cancel=lambda: True)


def test_tracks_lie_in_space_on_the_meshes_that_were_placed() -> None:
    points, _, _ = film()
    meshes = MeshFrames((0, 2), (TriangleMesh(points[0], FACES), TriangleMesh(points[2], FACES)))
    with pytest.raises(EX4DError, match="Fit the meshes to the video first"):
        lifted(tracks(), meshes)
    found = lifted(tracks(), meshes.placed(np.tile(np.eye(4), (2, 1, 1)), (LENS, LENS)))
    off = np.linalg.norm(found.positions - points[[0, 2], ::10], axis=2)[found.seen]
    assert found.seen.mean() > 0.2 and np.median(off) < 1e-6 and (off < 0.1).mean() > 0.9
    for unit in (1e-4, 2000.0):  # a scene of kilometres or of millimetres
        scaled = lifted(tracks(), meshes.placed(np.tile(np.diag([unit, unit, unit, 1]), (2, 1, 1)), (LENS, LENS)))
        assert (scaled.seen == found.seen).mean() > 0.99
        assert np.median(np.abs(scaled.positions / unit - found.positions)[found.seen]) < 1e-6


def test_a_moving_mesh_is_filmed_in_its_scene_in_the_frames_that_it_has() -> None:
    """A red sheet at depth 2 through frames 1 and 2 of a scene of four: before a wall at 3, behind one at 1."""
    depth = torch.full((4, 20, 24), 3.0)
    depth[:, :, :12] = 1.0
    scene = build_dw_mesh(torch.full((4, 20, 24, 3), 0.5), depth)
    corners = np.array([[-4.0, -4.0, 2.0], [4.0, -4.0, 2.0], [4.0, 4.0, 2.0], [-4.0, 4.0, 2.0]])
    red = np.tile([1.0, 0.0, 0.0], (4, 1))
    sheet = MeshClip(np.tile(corners, (2, 1, 1)), np.array([[0, 1, 2], [0, 2, 3]]), red, space="camera", start=1)
    picture = (torch.full((4, 20, 24, 3), 0.5), torch.ones(4, 20, 24), depth)
    (color, mask, z), over = filmed_in_scene(sheet, scene, still(4), picture)
    assert over.any((1, 2)).tolist() == [False, True, True, False] and bool((mask == 1).all())
    assert bool(over[1:3, :, 12:].all()) and not bool(over[:, :, :12].any())
    assert bool((color[over] == torch.tensor([1.0, 0.0, 0.0])).all()) and bool((z[over] == 2).all())
    _, none = filmed_in_scene(
        MeshClip(sheet.vertices, sheet.faces, space="camera"), scene, still(4), picture, first_frame=False
    )
    assert none.any((1, 2)).tolist() == [False, True, False, False]
    with pytest.raises(EX4DError, match="stands in axes of its own"):
        filmed_in_scene(MeshClip(sheet.vertices, sheet.faces), scene, still(4), picture)
    with pytest.raises(EX4DError, match="begins at frame 9"):
        late = MeshClip(sheet.vertices, sheet.faces, space="camera", start=9)
        filmed_in_scene(late, scene, still(4), picture)


def test_a_mesh_rides_with_a_source_camera_that_moves() -> None:
    """It stands where it was in the frame of each frame's camera, seen along the source camera's own path."""
    corners = np.array([[-0.3, -0.3, 2.0], [0.3, -0.3, 2.0], [0.0, 0.4, 2.0]])
    sheet = MeshClip(np.tile(corners, (2, 1, 1)), np.array([[0, 1, 2]]), space="camera")
    follows = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    follows[1, 0, 3] = -0.5
    scene = build_dw_mesh(torch.zeros(2, 20, 24, 3), torch.full((2, 20, 24), 3.0), source_camera=Trajectory(follows))
    picture = (torch.zeros(2, 20, 24, 3), torch.ones(2, 20, 24), torch.full((2, 20, 24), 3.0))
    _, over = filmed_in_scene(sheet, scene, still(2), picture)
    assert torch.equal(over[0], over[1]) and bool(over.any())
