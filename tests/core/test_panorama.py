"""Panoramas against single rays of the perspective renderer and against rays cast one by one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ex4d_core.camera import Intrinsics, pose_from, rotation_from_vector
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.mesh import DWMesh, build_dw_mesh, set_border
from ex4d_core.render import render_color_mask, render_panorama
from ex4d_core.stereo import Rig, render_panorama_eyes
from ex4d_core.trajectory import Trajectory

ROWS = 48


def room(style: str) -> DWMesh:
    """A closed room around (0, 0, 2): a dome filmed by a wide lens, behind it its ring and back plate; all of it seen."""
    noise = np.random.default_rng(7)
    depth = torch.full((1, 20, 24), 1.0) + torch.from_numpy(0.2 * noise.random((1, 20, 24))).float()
    set_border(depth[0], 4.0)
    rgb = torch.from_numpy(noise.integers(0, 256, (1, 20, 24, 3), dtype=np.uint8))
    lens = Intrinsics.from_focal(6.0, 24, 20)
    return DWMesh(rgb, depth, lens, style, 4.0, 0.0, math.inf, 1.15)


def camera(seed: int, place: tuple[float, float, float] = (0.1, -0.2, 2.0)) -> Trajectory:
    """Turned at random, at a place inside of the room."""
    turn = rotation_from_vector(np.random.default_rng(seed).normal(0, 1.5, 3))
    return Trajectory(pose_from(turn, np.array(place))[None])


def rays(rows: int, columns: int) -> np.ndarray:
    """(rows, columns, 3) unit rays of a panorama, by its definition."""
    lon = (np.arange(columns) + 0.5) * math.pi / rows - columns * math.pi / rows / 2
    lat = math.pi / 2 - (np.arange(rows) + 0.5) * math.pi / rows
    lon, lat = np.meshgrid(lon, lat)
    return np.stack([np.sin(lon) * np.cos(lat), -np.sin(lat), np.cos(lon) * np.cos(lat)], -1)


def cast(mesh: DWMesh, path: Trajectory, directions: np.ndarray, origins: np.ndarray | float = 0.0):
    """Rays against every face of frame 0, one by one: face and distance of the nearest, -1 and inf where there is none."""
    points = mesh.vertices_in_camera(0).double().numpy() @ path.world_to_camera[0, :3, :3].T.astype(float)
    points = points + path.world_to_camera[0, :3, 3]
    a, b, c = (points[mesh.faces.numpy()[:, k]] for k in range(3))
    best, face = np.full(len(directions), np.inf), np.full(len(directions), -1)
    origins = np.broadcast_to(origins, directions.shape)
    # Moeller and Trumbore 1997.
    for n in range(len(a)):
        p = np.cross(directions, c[n] - a[n])
        scale = p @ (b[n] - a[n])
        with np.errstate(divide="ignore", invalid="ignore"):
            at = origins - a[n]
            u = (at * p).sum(-1) / scale
            q = np.cross(at, b[n] - a[n])
            v, t = (directions * q).sum(-1) / scale, q @ (c[n] - a[n]) / scale
            hit = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9) & (t > 1e-3) & (t < best)
        best[hit], face[hit] = t[hit], n
    return face, best


def looking_along(path: Trajectory, ray: np.ndarray) -> Trajectory:
    """A camera at the same place whose middle pixel of three by three looks along a ray of the panorama."""
    side = np.cross(ray, [0.3, 0.9, 0.1])
    right = side / np.linalg.norm(side)
    turn = np.stack([right, np.cross(ray, right), ray])
    pose = np.eye(4)
    pose[:3] = turn @ path.world_to_camera[0, :3].astype(float)
    return Trajectory(pose[None], (Intrinsics.from_focal(40.0, 3, 3),))


@pytest.mark.parametrize("style", ["released", "paper"])
def test_a_pixel_is_that_of_the_perspective_renderer_along_its_ray(style):
    """In 32 directions: both poles, both sides of the seam, the diagonals of ahead, and others."""
    mesh, path = room(style), camera(3)
    color, mask, distance = render_panorama(mesh, path, size=(2 * ROWS, ROWS))
    spots = [(0, 0), (0, ROWS), (ROWS - 1, 5), (ROWS - 1, 2 * ROWS - 1), (ROWS // 2, 0), (ROWS // 2, 2 * ROWS - 1)]
    random = np.random.default_rng(1)
    spots += [(int(random.integers(ROWS)), int(random.integers(2 * ROWS))) for _ in range(26)]
    directions = rays(ROWS, 2 * ROWS)
    seen = 0
    for row, column in spots:
        ray = directions[row, column]
        one, known, z = render_color_mask(
            mesh, looking_along(path, ray), size=(3, 3), backend="torch", keep_first_frame=False
        )
        assert known[0, 1, 1] == mask[0, row, column]
        assert (one[0, 1, 1] - color[0, row, column]).abs().max() <= 1 / 255
        assert float(z[0, 1, 1]) == pytest.approx(float(distance[0, row, column]), rel=1e-5)
        seen += int(known[0, 1, 1])
    assert len(spots) == 32 and seen >= 12 and mask.mean() > 0.4


@pytest.mark.parametrize(("projection", "seed"), [("360", 5), ("180", 6)])
def test_seen_and_distance_are_those_of_rays_cast_one_by_one(projection, seed):
    mesh, path = room("paper"), camera(seed)
    columns = 2 * ROWS if projection == "360" else ROWS
    _, mask, distance = render_panorama(mesh, path, projection=projection, size=(columns, ROWS))
    face, truth = cast(mesh, path, rays(ROWS, columns).reshape(-1, 3))
    assert (face >= 0).all()
    seen = torch.from_numpy(mesh.face_valid(0).numpy()[face].reshape(ROWS, columns))
    assert abs(float(seen.float().mean() - mask.mean())) <= 0.002
    same = seen & (mask[0] > 0)
    error = (distance[0] / torch.from_numpy(truth.reshape(ROWS, columns)).float() - 1).abs()[same]
    assert (error < 1e-5).float().mean() > 0.998


def test_a_room_that_is_closed_has_no_gap():
    for seed in range(2):
        _, mask, _ = render_panorama(room("released"), camera(seed), size=(4 * ROWS, 2 * ROWS))
        assert mask.min() == 1


@pytest.mark.parametrize("eye", [0.05, -0.12])
def test_an_eye_beside_the_axis_stands_to_the_right_of_where_each_column_looks(eye):
    mesh, path = room("paper"), camera(8)
    _, mask, distance = render_panorama(mesh, path, size=(2 * ROWS, ROWS), eye=eye)
    lon = (np.arange(2 * ROWS) + 0.5) * math.pi / ROWS - math.pi
    places = eye * np.stack([np.cos(lon), np.zeros_like(lon), -np.sin(lon)], -1)
    origins = np.broadcast_to(places, (ROWS, 2 * ROWS, 3)).reshape(-1, 3)
    face, truth = cast(mesh, path, rays(ROWS, 2 * ROWS).reshape(-1, 3), origins)
    seen = torch.from_numpy((mesh.face_valid(0).numpy()[face] & (face >= 0)).reshape(ROWS, 2 * ROWS))
    assert abs(float(seen.float().mean() - mask.mean())) <= 0.002
    same = seen & (mask[0] > 0)
    error = (distance[0] / torch.from_numpy(truth.reshape(ROWS, -1)).float() - 1).abs()[same]
    assert (error < 1e-5).float().mean() > 0.998


def test_180_is_the_middle_of_360_and_pieces_make_no_difference(monkeypatch):
    from ex4d_core.render import torch_scene

    mesh, path = room("paper"), camera(9)
    whole = render_panorama(mesh, path, size=(2 * ROWS, ROWS), hole_color="magenta")
    monkeypatch.setattr(torch_scene, "STRIP", 97)
    half = render_panorama(mesh, path, projection="180", size=(ROWS, ROWS), hole_color="magenta")
    for a, b in zip(whole, half, strict=True):
        assert torch.equal(a[:, :, ROWS // 2 : -ROWS // 2], b)
    holes = half[1] == 0
    assert holes.any() and (half[0][holes] == torch.tensor([1.0, 0, 1])).all()


def test_units_bytes_samples_and_time():
    rgb, depth = torch.rand(2, 24, 24, 3), 3 + torch.rand(2, 24, 24)
    path = replace(Trajectory.preset("static", frames=2), path=None, shown=(1, 0))
    one = render_panorama(build_dw_mesh(rgb, depth), path, size=(64, 32), out_dtype="uint8", supersample=2)
    large = build_dw_mesh(rgb, depth * 1000, border_depth=1e5)
    two = render_panorama(large, path, size=(64, 32), out_dtype="uint8", supersample=2)
    assert one[0].dtype == torch.uint8 and 0 < one[1].float().mean() < 255
    assert (one[1] != two[1]).float().mean() < 0.01
    assert not torch.equal(one[0][0], one[0][1])


def test_a_clip_filmed_from_its_own_camera_fills_its_field_of_view():
    lens = Intrinsics.default(48, 48)
    mesh = build_dw_mesh(torch.rand(1, 48, 48, 3), torch.full((1, 48, 48), 3.0), lens, style="paper", border_depth=100)
    _, mask, distance = render_panorama(mesh, Trajectory.preset("static", frames=1), size=(128, 64))
    ray = rays(64, 128)
    inside = (ray[..., 2] > 0) & (np.abs(ray[..., :2] / ray[..., 2:]) < 22.4 / lens.fx).all(-1)
    assert (mask[0].numpy()[inside] == 1).all()
    planar = distance[0].numpy() * ray[..., 2]
    assert np.abs(planar[inside] - 3).max() < 1e-5


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"size": (100, 60)}, "twice as wide as high; 100x60 is not. Ask for 120x60"),
        ({"size": (64, 32), "projection": "180"}, "a square; 64x32 is not"),
        ({"projection": "270"}, "360 or 180"),
        ({"size": (64, 32), "eye": math.nan}, "eye's offset"),
        ({"size": (64, 32), "supersample": 9}, "supersample"),
        ({"size": (40000, 20000)}, "too large"),
        ({"size": (0, 0)}, "Ask for 4x2"),
    ],
)
def test_bad_input_is_told(values, said):
    with pytest.raises(EX4DError, match=said):
        render_panorama(room("paper"), camera(0), **values)


def test_more_than_the_machine_holds_is_told_before_work(monkeypatch):
    monkeypatch.setattr("ex4d_core.machine.memory.total_memory", lambda: 10**6)  # bytes
    with pytest.raises(EX4DError, match=r"1 frames, 256x128, needs at least 0.0 GB .* Make it smaller or shorter"):
        render_panorama(room("paper"), camera(0), size=(256, 128))
    with pytest.raises(EX4DError, match="for each of two eyes, needs"):
        render_panorama_eyes(room("paper"), camera(0), Rig(0.1), projection="360", size=(160, 80))
    assert len(render_panorama(room("paper"), camera(0), size=(64, 32))[0]) == 1


def test_cancel():
    with pytest.raises(Cancelled):
        render_panorama(room("paper"), camera(0), size=(64, 32), cancel=lambda: True)
