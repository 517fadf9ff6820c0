"""Every backend against brute force and against each other, and the function's contract."""

from __future__ import annotations

import importlib.util
import itertools
import sys
import threading
import time
import types
from dataclasses import replace

import numpy as np
import oracle
import pytest
import torch

from ex4d_core.camera import Intrinsics
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.mesh import DWMesh, build_dw_mesh
from ex4d_core.render import BACKEND_CHOICES, BACKENDS, available_backends, choose, keeps_first_frame, render_color_mask
from ex4d_core.render import frames as frames_module
from ex4d_core.render.choose import backend_problem
from ex4d_core.trajectory import Trajectory

# nvdiffrast snaps vertices to 1/16 pixel, so that exact comparison on tiny meshes is not for it.
EXACT = [
    pytest.param("numba", marks=pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba missing")),
    "torch",
    # On a card. Without one a few pictures are drawn by Triton's interpreter, in test_triton.py.
    pytest.param("triton", marks=pytest.mark.skipif(backend_problem("triton") is not None, reason="no GPU for Triton")),
]
STYLES = ["released", "paper"]
HEIGHT, WIDTH = 11, 13
CAMERA = Intrinsics(12.0, 13.0, 6.2, 5.7, WIDTH, HEIGHT)


pytestmark = pytest.mark.usefixtures("one_thread")


def still(count: int = 1) -> Trajectory:
    return Trajectory(np.tile(np.eye(4, dtype=np.float32), (count, 1, 1)))


def looking(eye, yaw: float, pitch: float = 0.0) -> np.ndarray:
    """World to camera from a position and angles in degrees; yaw turns right, pitch up."""
    yaw, pitch = np.radians(yaw), np.radians(pitch)
    turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    pose = np.eye(4)
    pose[:3, :3] = tilt @ turn
    pose[:3, 3] = -pose[:3, :3] @ np.asarray(eye, float)
    return pose


def orbit(angle: float, radius: float) -> np.ndarray:
    """On a circle around (0, 0, radius), looking at it; 0 is the source camera."""
    phi = np.radians(angle)
    return looking([radius * np.sin(phi), 0.0, radius - radius * np.cos(phi)], -angle)


VIEWS = {
    "minus 90": orbit(-90, 3.1),
    "minus 45": orbit(-45, 3.1),
    "plus 20": orbit(20, 3.1),
    "plus 90": orbit(90, 3.1),
    "inside": looking([0.3, -0.2, 5.3], 25, 5),
    "inside, looking back": looking([0.3, -0.2, 5.3], 170, 10),
    "through the near plane": looking([0.1, 0.15, 3.0], 5, -3),
    "beside": looking([-9.0, 1.0, 5.0], 80),
    "behind": looking([1.0, 0.5, 30.0], 175),
    "looking away": looking([0.0, 0.0, -3.0], 180),
}


def scene(style: str, kind: str = "step") -> DWMesh:
    """A near box before a slanted wall, or random depth, in random colours."""
    random = np.random.default_rng(7)
    if kind == "random":
        depth = 2.6 + 9.0 * random.random((1, HEIGHT, WIDTH)) ** 2
    else:
        depth = np.tile(6.0 + 0.3 * np.arange(WIDTH), (1, HEIGHT, 1)) + 0.05 * random.random((1, HEIGHT, WIDTH))
        depth[0, 3:7, 4:9] = 2.95 + 0.03 * np.arange(5)
    rgb = random.integers(0, 256, (1, HEIGHT, WIDTH, 3)).astype(np.uint8)
    jump = 0.6 if kind == "random" else 0.08
    return build_dw_mesh(rgb, depth.astype(np.float32), CAMERA, style=style, border_depth=20.0, depth_jump=jump)


@pytest.mark.parametrize("kind", ["step", "random"])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("backend", EXACT)
def test_every_view_is_what_rays_see(backend, style, kind):
    mesh = scene(style, kind)
    camera = CAMERA.resized(2 * WIDTH + 3, 2 * HEIGHT + 1)
    path = Trajectory(np.stack(list(VIEWS.values())))
    color, mask, depth = render_color_mask(
        mesh, path, size=(camera.width, camera.height), backend=backend, keep_first_frame=False, near=0.05, far=40.0
    )
    seen_anywhere = 0
    for t, name in enumerate(VIEWS):
        truth = oracle.ray_trace(mesh, 0, path.world_to_camera[t].astype(float), camera, near=0.05, far=40.0)
        assert truth.clear.mean() > 0.97, name
        clear, seen = truth.clear, truth.clear & truth.mask
        assert (mask[t].numpy()[clear] == truth.mask[clear]).all(), name
        np.testing.assert_allclose(depth[t].numpy()[clear], truth.depth[clear], rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(color[t].numpy()[seen] * 255, truth.color[seen], atol=0.02, err_msg=name)
        assert (color[t].numpy()[mask[t].numpy() == 0] == 0).all(), name
        seen_anywhere += int(seen.sum())
    assert seen_anywhere > 400


@pytest.mark.parametrize("style", STYLES)
def test_backends_agree_at_full_size(style):
    if "numba" not in available_backends():
        pytest.skip("numba missing")
    mesh = wavy(style, 96, 128)
    path = Trajectory(np.stack([orbit(a, mesh.radius) for a in (-90, -40, 0, 10, 90)]))
    mine = render_color_mask(mesh, path, backend="numba", keep_first_frame=False)
    theirs = render_color_mask(mesh, path, backend="torch", keep_first_frame=False)
    same = mine[1] == theirs[1]
    assert same.float().mean() > 0.9999
    both = (mine[1] * theirs[1]) > 0
    assert ((mine[0] - theirs[0]).abs().amax(-1)[both] < 1e-5).float().mean() > 0.999
    assert ((mine[2] / theirs[2] - 1).abs()[both] < 1e-5).float().mean() > 0.999


def wavy(style: str, height: int, width: int, unit: float = 1) -> DWMesh:
    """A near disc before a wavy wall; smooth colours; ``unit``: how many of them the first one's unit of length has."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    depth = 9.0 + np.sin(4 * x) * np.cos(3 * y)
    depth = np.where(x**2 + y**2 < 0.2, 3.0 - 0.4 * np.sqrt(np.clip(0.2 - x**2 - y**2, 0, None)), depth)
    rgb = 0.5 + 0.5 * np.stack([np.sin(5 * x), np.cos(6 * y), np.sin(4 * x * y)], -1)
    rgb, depth = rgb[None].astype(np.float32), depth[None].astype(np.float32) * unit
    return build_dw_mesh(rgb, depth, style=style, border_depth=100 * unit)


@pytest.mark.parametrize("backend", EXACT)
def test_paper_style_at_the_source_camera_gives_back_the_source(backend):
    mesh = wavy("paper", 128, 160)
    color, mask, depth = render_color_mask(mesh, still(), backend=backend, keep_first_frame=False, out_dtype="uint8")
    seen = mask[0] > 0
    inner = seen[1:-1, 1:-1]
    # Every inner pixel that touches a visible quad is seen: a sample on a shared vertex goes to the visible face.
    touched = mesh.vertex_valid(0)[:-1].reshape(128, 160)
    assert (inner == touched[1:-1, 1:-1]).all()
    assert seen.float().mean() > 0.95
    assert (color[0][seen].int() - mesh.rgb[0][seen].int()).abs().max() <= 1
    assert torch.allclose(depth[0][seen], mesh.depth[0][seen], rtol=1e-6)


@pytest.mark.parametrize("backend", EXACT)
def test_first_frame(backend, caplog):
    mesh = wavy("released", 32, 40)
    path = Trajectory(np.stack([np.eye(4), orbit(30, mesh.radius)]))
    kept, mask, _ = render_color_mask(mesh, path, backend=backend, out_dtype="uint8")
    assert (kept[0] == mesh.rgb[0]).all() and (mask[0] == 255).all() and not (mask[1] == 255).all()
    rendered, mask, _ = render_color_mask(mesh, path, backend=backend, out_dtype="uint8", keep_first_frame=False)
    assert not (mask[0] == 255).all()
    assert (rendered[1] == kept[1]).all()
    assert "source view" not in caplog.text
    moved = Trajectory(np.stack([orbit(1, mesh.radius), np.eye(4)]))
    _, mask, _ = render_color_mask(mesh, moved, backend=backend, out_dtype="uint8")
    assert not (mask[0] == 255).all() and "source view" in caplog.text
    forced, mask, _ = render_color_mask(mesh, moved, backend=backend, keep_first_frame=True, size=(20, 16))
    assert mask[0].min() == 1 and forced.shape == (2, 16, 20, 3)
    zoomed = Trajectory(np.eye(4)[None], (Intrinsics.from_focal(80.0, 40, 32),))
    assert render_color_mask(mesh, zoomed, backend=backend)[1].min() == 0, "another lens is not the source view"
    starts = [keeps_first_frame(mesh, each) for each in (path, moved, zoomed)]
    assert starts == [True, False, False] and not keeps_first_frame(mesh, path, (20, 20))


@pytest.mark.parametrize("backend", EXACT)
def test_output_types_agree(backend):
    mesh = wavy("paper", 32, 40)
    path = Trajectory(orbit(25, mesh.radius)[None])
    color, mask, depth = render_color_mask(mesh, path, backend=backend)
    assert color.dtype == mask.dtype == depth.dtype == torch.float32
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert ((depth > 0) == (mask > 0)).all()
    color8, mask8, _ = render_color_mask(mesh, path, backend=backend, out_dtype="uint8")
    assert color8.dtype == mask8.dtype == torch.uint8
    assert (mask8 == mask * 255).all()
    assert (color8 - color * 255).abs().max() <= 0.51


@pytest.mark.parametrize("backend", EXACT)
def test_supersampling_counts_samples(backend):
    mesh = scene("paper")
    view = orbit(20, 3.1)
    fine = render_color_mask(
        mesh, Trajectory(view[None]), backend=backend, keep_first_frame=False, size=(2 * WIDTH, 2 * HEIGHT)
    )
    color, mask, depth = render_color_mask(
        mesh, Trajectory(view[None]), backend=backend, keep_first_frame=False, supersample=2
    )
    count = fine[1].reshape(HEIGHT, 2, WIDTH, 2).sum((1, 3))
    assert (mask[0] == (count >= 2)).all()
    mean = fine[0].reshape(HEIGHT, 2, WIDTH, 2, 3).sum((1, 3)) / count.clamp(min=1)[..., None]
    assert torch.allclose(color[0], mean * mask[0][..., None], atol=1e-5)
    assert (depth[0] > 0).equal(mask[0] > 0)


@pytest.mark.parametrize("backend", EXACT)
def test_intrinsics_of_the_path(backend):
    mesh = wavy("paper", 48, 64)
    pose = orbit(15, mesh.radius)
    wide, narrow = Intrinsics.from_focal(30.0, 64, 48), Intrinsics(100.0, 90.0, 20.0, 30.0, 64, 48)
    path = Trajectory(np.stack([pose, pose]), (wide, narrow))
    both = render_color_mask(mesh, path, backend=backend, keep_first_frame=False)
    for t, camera in enumerate((wide, narrow)):
        alone = render_color_mask(mesh, Trajectory(pose[None], (camera,)), backend=backend, keep_first_frame=False)
        assert all((a[t] == b[0]).all() for a, b in zip(both, alone))
    halved = render_color_mask(mesh, path, backend=backend, keep_first_frame=False, size=(32, 24))
    as_halved = Trajectory(path.world_to_camera, (wide.resized(32, 24), narrow.resized(32, 24)))
    assert all(
        (a == b).all()
        for a, b in zip(
            halved, render_color_mask(mesh, as_halved, backend=backend, keep_first_frame=False, size=(32, 24))
        )
    )


@pytest.mark.parametrize("backend", EXACT)
def test_one_mesh_frame_serves_any_path_and_other_counts_are_refused(backend):
    mesh = wavy("released", 24, 32)
    color, _, _ = render_color_mask(
        mesh, Trajectory(np.stack([np.eye(4)] * 3)), backend=backend, keep_first_frame=False
    )
    assert (color[0] == color[2]).all()
    two = build_dw_mesh(mesh.rgb.expand(2, -1, -1, -1), mesh.depth.expand(2, -1, -1))
    with pytest.raises(EX4DError, match="2 frames, the camera path 3"):
        render_color_mask(two, still(3), backend=backend)


@pytest.mark.parametrize("backend", EXACT)
def test_progress_cancel_and_a_failing_callback(backend):
    mesh = wavy("released", 24, 32)
    path = still(9)
    seen = []
    render_color_mask(mesh, path, backend=backend, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 9) for n in range(1, 10)]
    with pytest.raises(Cancelled):
        render_color_mask(mesh, path, backend=backend, cancel=lambda: True)
    calls = []

    def stop_after_three(done: int, total: int) -> None:
        calls.append(done)
        if done == 3:
            raise KeyError("from the caller")

    threads = threading.active_count()
    with pytest.raises(KeyError, match="from the caller"):
        render_color_mask(mesh, path, backend=backend, progress=stop_after_three)
    assert calls == [1, 2, 3]
    assert threading.active_count() == threads
    assert render_color_mask(mesh, path, backend=backend)[1].shape == (9, 24, 32)


def test_a_failing_callback_ends_frames_that_are_being_drawn(monkeypatch):
    backend = pytest.importorskip("ex4d_core.render.numba_backend")
    kernels = pytest.importorskip("ex4d_core.render.numba_kernels")
    whole, stops = kernels.rasterise, []

    def slow(*arguments):
        stops.append(arguments[-1])
        while len(stops) > 1 and arguments[-1][0] == 0:
            time.sleep(0.01)
        whole(*arguments)

    monkeypatch.setattr(kernels, "rasterise", slow)
    mesh = wavy("released", 24, 32)
    with pytest.raises(Cancelled):  # only the first frame is let through
        render_color_mask(mesh, still(5), backend="numba", cancel=lambda: len(stops) > 1)
    keys = np.empty((24, 32), np.uint64)
    work = backend._Workspace(mesh, backend.Picture.empty(1, 24, 32, torch.uint8, "cpu"), 1)
    pose, lens, rays = np.eye(4)[:3].copy(), (30.0, 30.0, 16.0, 12.0), (1 / 30.0, 1 / 30.0, 16.0, 12.0)
    depth = mesh.depth[0].numpy()
    for stop, drawn in ((0, True), (1, False)):
        flag = np.full(1, stop, np.uint8)
        whole(depth, rays, pose, lens, 1e-3, 1e3, 4.0, 1.0, False, keys, work.valid, work.row, work.across, flag)
        assert (keys > 0).any() == drawn


def test_a_render_that_fails_waits_for_what_is_running_and_never_begins_the_rest(monkeypatch):
    kernels = pytest.importorskip("ex4d_core.render.numba_kernels")
    whole, numbers, begun, ended = kernels.rasterise, itertools.count(), [], []

    def only_the_first_ends_by_itself(*arguments):
        number = next(numbers)
        begun.append(number)
        while number > 0 and arguments[-1][0] == 0:
            time.sleep(0.001)
        whole(*arguments)
        ended.append(number)

    def fail(done: int, total: int) -> None:
        raise KeyError("from the caller")

    monkeypatch.setattr(kernels, "rasterise", only_the_first_ends_by_itself)
    monkeypatch.setattr(frames_module, "POLL_SECONDS", 30.0)  # how long it waits for a frame that does not end
    frames = 2 * frames_module.MAX_THREADS + 3
    with pytest.raises(KeyError, match="from the caller"):
        render_color_mask(
            wavy("released", 24, 32), still(frames), backend="numba", keep_first_frame=False, progress=fail
        )
    assert sorted(begun) == sorted(ended), "nothing runs any more"
    assert 0 < len(begun) <= frames_module.MAX_THREADS + 1 < frames


@pytest.mark.parametrize("backend", EXACT)
def test_two_threads_render_at_the_same_time(backend):
    mesh = wavy("paper", 48, 64)
    path = Trajectory(np.stack([orbit(a, mesh.radius) for a in np.linspace(-60, 60, 12)]))
    expected = render_color_mask(mesh, path, backend=backend, keep_first_frame=False, out_dtype="uint8")
    results: dict[int, tuple] = {}

    def work(n: int) -> None:
        results[n] = render_color_mask(mesh, path, backend=backend, keep_first_frame=False, out_dtype="uint8")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for n in range(2):
        assert all((a == b).all() for a, b in zip(results[n], expected))


@pytest.mark.parametrize("backend", EXACT)
def test_far_and_near_cut(backend):
    mesh = wavy("paper", 48, 64)
    path = Trajectory(orbit(10, mesh.radius)[None])
    _, _, depth = render_color_mask(mesh, path, backend=backend, keep_first_frame=False)
    _, _, cut = render_color_mask(mesh, path, backend=backend, keep_first_frame=False, near=0.5, far=5.0)
    assert cut.max() <= 5.0 < depth.max()
    beyond = depth > 5.0
    assert (cut[beyond] == 0).all() and torch.equal(cut[~beyond], depth[~beyond])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("backend", EXACT)
def test_units_do_not_matter(backend, style):
    metres, millimetres = wavy(style, 24, 32), wavy(style, 24, 32, unit=1024)
    path = np.stack([orbit(20, metres.radius), VIEWS["inside"]])
    longer = path.copy()
    longer[:, :3, 3] *= 1024
    small = render_color_mask(metres, Trajectory(path), backend=backend, keep_first_frame=False)
    large = render_color_mask(millimetres, Trajectory(longer), backend=backend, keep_first_frame=False)
    assert large[1].mean() > 0.03 and torch.equal(large[1], small[1])
    assert torch.allclose(large[0], small[0], atol=1e-4) and torch.allclose(large[2] / 1024, small[2], rtol=1e-5)


@pytest.mark.parametrize("backend", EXACT)
def test_a_tiny_scene_is_not_cut_off_by_the_near_plane(backend):
    ordinary, tiny = (
        render_color_mask(wavy("paper", 24, 32, unit), still(), backend=backend, keep_first_frame=False)
        for unit in (1, 2.0**-17)
    )
    assert ordinary[1].mean() > 0.1 and torch.equal(tiny[1], ordinary[1])
    assert torch.equal(tiny[2] * 2**17, ordinary[2])


def test_a_published_scene_keeps_the_published_range(monkeypatch):
    from ex4d_core.render import torch_backend

    used = []
    watched = replace(torch_backend.BACKEND, render=lambda mesh, views, picture, settings: used.append(settings))
    monkeypatch.setattr(torch_backend, "BACKEND", watched)
    for plate, near, far in ((100.0, 1e-3, 1e3), (5.0, 1e-3, 1e3), (5e4, 0.5, 5e5)):
        mesh = build_dw_mesh(torch.rand(1, 8, 8, 3), torch.full((1, 8, 8), 3.0), border_depth=plate)
        render_color_mask(mesh, still(), backend="torch", keep_first_frame=False)
        assert (used[-1].near, used[-1].far) == (pytest.approx(near), pytest.approx(far))
        render_color_mask(mesh, still(), backend="torch", keep_first_frame=False, far=7.0, near=0.6)
        assert (used[-1].near, used[-1].far) == (0.6, 7.0)


@pytest.mark.parametrize("backend", EXACT)
def test_a_lens_of_another_shape_does_not_stretch_the_picture(backend):
    mesh = wavy("paper", 30, 52)
    square = mesh.intrinsics.fitted(32, 32)
    assert square.vertical_fov == pytest.approx(mesh.intrinsics.vertical_fov) and square.fx == square.fy
    poses = np.stack([np.eye(4), orbit(15, mesh.radius)])
    own = render_color_mask(mesh, Trajectory(poses), backend=backend)
    lent = render_color_mask(mesh, Trajectory(poses, (square, square)), backend=backend)
    assert lent[1][0].min() == 1, "it is the source's view, so the first frame is kept"
    assert torch.equal(own[1], lent[1]) and torch.allclose(own[0], lent[0], atol=1e-4)


def test_a_size_that_no_machine_holds_is_refused():
    with pytest.raises(EX4DError, match="16384 pixels a side"):
        render_color_mask(wavy("paper", 48, 64), still(), size=(100_000, 100_000))


def test_a_picture_of_another_shape_is_not_stretched(caplog):
    mesh = wavy("paper", 48, 64)
    path = still()
    _, tall, _ = render_color_mask(mesh, path, backend="torch", size=(32, 48))
    _, own, _ = render_color_mask(mesh, path, backend="torch", keep_first_frame=False)
    assert torch.equal(tall[0], own[0][:, 16:48]) and "source view" in caplog.text
    with pytest.raises(EX4DError, match="another shape"):
        render_color_mask(mesh, path, backend="torch", size=(32, 48), keep_first_frame=True)


def test_the_first_frame_of_an_anamorphic_clip_is_not_kept_squeezed():
    """Stretched to a square, this clip's lens has square pixels, as a square picture's own lens would."""
    rgb, depth = torch.rand((1, 32, 64, 3)), torch.full((1, 32, 64), 3.0) + torch.rand((1, 32, 64))
    mesh = build_dw_mesh(rgb, depth, Intrinsics(80.0, 40.0, 32.0, 16.0, 64, 32), style="paper", border_depth=20.0)
    auto = render_color_mask(mesh, still(), backend="torch", size=(32, 32))
    rendered = render_color_mask(mesh, still(), backend="torch", size=(32, 32), keep_first_frame=False)
    assert all(torch.equal(a, b) for a, b in zip(auto, rendered))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_supersampled_depth_is_that_of_the_pixel(factor):
    wall = np.tile(np.linspace(3.0, 6.0, 64), (1, 48, 1)).astype(np.float32)
    mesh = build_dw_mesh(np.full((1, 48, 64, 3), 90, np.uint8), wall, style="paper", depth_jump=1.0, min_angle=0.0)
    path = Trajectory(orbit(12, 4.0)[None])
    plain = render_color_mask(mesh, path, backend="torch", keep_first_frame=False)[2]
    fine = render_color_mask(mesh, path, backend="torch", keep_first_frame=False, supersample=factor)[2]
    both = (plain > 0) & (fine > 0)
    error = (fine / plain - 1)[both]
    assert error.abs().median() < 1e-4 and error.mean().abs() < 1e-4
    edge = wavy("paper", 48, 64)
    depth = render_color_mask(edge, still(), backend="torch", keep_first_frame=False, supersample=factor)[2]
    assert not ((depth > 3.2) & (depth < 7.9)).any(), "nothing in mid-air"


def test_supersampling_counts_against_the_memory_limit(monkeypatch):
    monkeypatch.setattr(frames_module, "cores", lambda: 99)
    backend = pytest.importorskip("ex4d_core.render.numba_backend")
    mesh = wavy("released", 24, 32)
    picture = backend.Picture(*(torch.empty(1, 1080, 1920, device="meta") for _ in range(3)))
    plain, fine = (frames_module.affordable_threads(99, backend._held(mesh, picture, factor)) for factor in (1, 2))
    assert plain >= 16 and 1 <= fine <= 1.4e9 / (1920 * 1080 * 4 * 55)


def test_auto_leaves_nvdiffrast_out_where_the_mesh_is_too_fine(monkeypatch):
    monkeypatch.setattr(choose, "available_backends", lambda: ("nvdiffrast", "torch"))
    fine, coarse = (build_dw_mesh(torch.zeros(1, n, 2048, 3), torch.ones(1, n, 2048)) for n in (2049, 8))
    assert choose.choose_backend("auto", coarse, None) == "nvdiffrast"
    assert choose.choose_backend("auto", fine, None) == "torch"


def test_every_backend_of_the_list_has_a_module_that_states_it():
    assert set(BACKENDS) == {"nvdiffrast", "triton", "numba", "torch"} and ("auto", *BACKENDS) == BACKEND_CHOICES
    for name in BACKENDS:
        stated = choose.backend_of(name)
        assert stated.name == name and stated.needs
        assert stated.problem() is None or name not in available_backends()


def test_a_backend_that_is_added_to_the_list_is_offered_and_taken(monkeypatch):
    """One new file and one line: everything else reads the list."""
    stated = replace(choose.backend_of("torch"), name="vulkan")
    monkeypatch.setitem(sys.modules, "ex4d_core.render.vulkan_backend", types.SimpleNamespace(BACKEND=stated))
    monkeypatch.setattr(choose, "BACKENDS", ("vulkan", *BACKENDS))
    monkeypatch.setattr(choose, "BACKEND_CHOICES", ("auto", "vulkan", *BACKENDS))
    mesh = wavy("released", 8, 8)
    assert available_backends()[0] == choose.choose_backend("auto", mesh, None) == "vulkan"
    assert render_color_mask(mesh, still(), backend="vulkan")[0].shape == (1, 8, 8, 3)


def test_what_lies_on_apples_gpu_is_computed_on_the_processor():
    """It has no float64, so every backend would fail there."""
    mesh = wavy("released", 8, 8)
    there = types.SimpleNamespace(device=torch.device("mps"), height=8, width=8)
    for asked, given in (("mps", mesh), (torch.device("mps"), mesh), (None, there), ("mps", there)):
        name = choose.choose_backend("auto", given, asked)
        assert name == ("numba" if "numba" in available_backends() else "torch")
        for backend in ("numba", "torch"):
            assert choose.compute_device(backend, given, asked) == torch.device("cpu")
        assert choose.backend_of("torch").takes(given, asked if asked is None else torch.device(asked))
        assert not choose.backend_of("nvdiffrast").takes(given, asked if asked is None else torch.device(asked))


@pytest.mark.parametrize("kind", ["wavy", "random"])
@pytest.mark.parametrize("style", STYLES)
def test_torch_draws_quads_by_strips_as_it_draws_their_faces_one_by_one(style, kind, monkeypatch):
    """By strips on the processor, one by one on a GPU."""
    from ex4d_core.render import torch_backend

    mesh = wavy(style, 96, 128) if kind == "wavy" else scene(style, kind)
    path = Trajectory(np.stack([np.eye(4), orbit(33, mesh.radius), *(VIEWS[view] for view in ("inside", "plus 90"))]))
    mesh = mesh if mesh.frames == 1 else mesh.part([0])
    strips = render_color_mask(mesh, path, backend="torch", keep_first_frame=False)
    monkeypatch.setattr(torch_backend, "draw_quads", lambda scene, *_: scene.every_quad())
    single = render_color_mask(mesh, path, backend="torch", keep_first_frame=False)
    assert torch.equal(strips[1], single[1])
    assert torch.allclose(strips[0], single[0], atol=1e-5) and torch.allclose(strips[2], single[2], rtol=1e-5)


def test_torch_pieces_do_not_change_the_picture(monkeypatch):
    from ex4d_core.render import torch_scene

    mesh = scene("paper", "random")
    path = Trajectory(np.stack([VIEWS["inside"], VIEWS["plus 90"]]))
    whole = render_color_mask(mesh, path, backend="torch", keep_first_frame=False, size=(60, 50))
    monkeypatch.setattr(torch_scene, "STRIP", 61)
    pieces = render_color_mask(mesh, path, backend="torch", keep_first_frame=False, size=(60, 50))
    assert all(torch.equal(a, b) for a, b in zip(whole, pieces))


def test_auto_takes_the_cpu_backend_for_a_cpu_mesh_when_told_so():
    mesh = wavy("released", 24, 32)
    name = "numba" if "numba" in available_backends() else "torch"
    auto = render_color_mask(mesh, still(2), device="cpu")
    named = render_color_mask(mesh, still(2), backend=name)
    assert all(torch.equal(a, b) for a, b in zip(auto, named))


@pytest.mark.parametrize(
    "options",
    [
        {"backend": "vulkan"},
        {"size": (0, 4)},
        {"size": (4.5, 4)},
        {"size": (float("nan"), 4)},
        {"size": (4, 4, 3)},
        {"size": 4},
        {"supersample": 0},
        {"supersample": 2.0},
        {"near": 0.0},
        {"near": 2.0, "far": 1.0},
        {"far": float("nan")},
        {"out_dtype": "int16"},
        {"keep_first_frame": "maybe"},
        {"hole_color": "pink"},
        {"hole_color": "#12345"},
        {"hole_color": (0, 0, 0)},
    ],
)
def test_refuses_bad_options(options):
    with pytest.raises(EX4DError):
        render_color_mask(wavy("released", 8, 8), still(), **options)


def test_names_the_backend_that_is_missing():
    if "nvdiffrast" in available_backends():
        pytest.skip("nvdiffrast is here")
    with pytest.raises(EX4DError, match="nvdiffrast"):
        render_color_mask(wavy("released", 8, 8), still(), backend="nvdiffrast")


@pytest.mark.parametrize("backend", EXACT)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_hole_colour_is_never_mixed_with_what_was_seen(backend, style, factor):
    """A scene of one colour: every pixel has that colour or the holes', and mask and depth are those of black holes."""
    mesh = replace(scene(style, "step"), rgb=torch.full((1, HEIGHT, WIDTH, 3), 200, dtype=torch.uint8))
    path = Trajectory(np.stack([VIEWS["plus 90"], VIEWS["minus 45"]]))
    given = {"backend": backend, "supersample": factor, "keep_first_frame": False, "size": (40, 34)}
    black = render_color_mask(mesh, path, out_dtype="uint8", **given)
    assert 0.02 < (black[1] == 0).float().mean() < 0.98
    for name, expected in (("magenta", (255, 0, 255)), ("grey", (128, 128, 128)), ("#0180fF", (1, 128, 255))):
        color, mask, depth = render_color_mask(mesh, path, hole_color=name, out_dtype="uint8", **given)
        assert torch.equal(mask, black[1]) and torch.equal(depth, black[2])
        assert (color[mask == 255] == 200).all()
        assert (color[mask == 0] == torch.tensor(expected)).all()
    color, mask, _ = render_color_mask(mesh, path, hole_color="grey", **given)
    assert (color[mask == 0] == 0.5).all(), "WanVaceToVideo centres at exactly this"


@pytest.mark.parametrize("backend", EXACT)
def test_black_holes_keep_the_published_fade(backend):
    """In released style colours darken towards occluded vertices, and only there; naming black changes nothing."""
    mesh = replace(scene("released", "step"), rgb=torch.full((1, HEIGHT, WIDTH, 3), 200, dtype=torch.uint8))
    path = Trajectory(np.stack([VIEWS["minus 45"]]))
    given = {"backend": backend, "keep_first_frame": False, "size": (40, 34), "out_dtype": "uint8"}
    color, mask, _ = render_color_mask(mesh, path, **given)
    seen = color[mask == 255]
    assert 97 <= seen.min() < 199 and seen.max() == 200
    assert torch.equal(color, render_color_mask(mesh, path, hole_color="black", **given)[0])
    assert torch.equal(color, render_color_mask(mesh, path, hole_color="#000000", **given)[0])
