"""A source camera that moves: the scene stands still in the world, and the published behaviour stays where none is given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ex4d_core.camera import Intrinsics, invert_pose
from ex4d_core.demo_scene import DemoScene
from ex4d_core.depth import DepthClip
from ex4d_core.errors import EX4DError
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.preview.scene_file import decode_preview, encode_preview
from ex4d_core.render import available_backends, render_color_mask
from ex4d_core.render.nvdiffrast_backend import _clip_positions
from ex4d_core.render.view import Settings, View
from ex4d_core.trajectory import Trajectory, in_the_world

FRAMES = 25
SHOWN = [0, 12, 24]


def filmed(move: str, style="paper"):
    """A scene, and the mesh of three of its frames with the exact source camera."""
    scene = DemoScene(96, 96, FRAMES, camera=move)
    poses, lenses = scene.source_cameras()
    source = Trajectory(poses, lenses)
    frames = [scene.frame(t) for t in SHOWN]
    rgb, depth = (torch.stack(part) for part in zip(*frames, strict=True))
    return scene, build_dw_mesh(rgb, depth, style=style, source_camera=source.part(SHOWN))


def wrong_surface(depth, mask, scene, frame, pose):
    """Share of the seen pixels that show another surface than there is."""
    _, truth = scene.frame(frame, pose)
    seen = mask > 0
    return float(((depth / truth - 1).abs()[seen] > 0.02).float().mean())


@pytest.mark.parametrize("move", ["handheld", "dolly", "zoom"])
def test_in_the_world_the_scene_stands_still(move):
    """A locked-off camera sees the truth of every frame; where the path rides on the source, it does not."""
    scene, mesh = filmed(move)
    locked, riding = (Trajectory.preset("static", frames=3, frame_of_reference=f) for f in ("world", "source"))
    _, mask, depth = render_color_mask(mesh, locked)
    _, _, ridden = render_color_mask(mesh, riding)
    for i, t in enumerate(SHOWN):
        wrong = wrong_surface(depth[i], mask[i], scene, t, np.eye(4))
        assert wrong < 0.05, f"frame {t}: {wrong}"
        if i:
            as_if_still = wrong_surface(ridden[i], mask[i], scene, t, np.eye(4))
            assert as_if_still > 0.2 + wrong and mask[i].mean() > 0.3


@pytest.mark.parametrize("style", ["released", "paper"])
def test_a_path_that_rides_on_the_source_sees_what_it_always_saw(style):
    _, mesh = filmed("handheld", style)
    still = replace(mesh, source_camera=None)
    path = Trajectory.preset("orbit", frames=3, radius=3.0, angle=40)
    for moving, before in zip(render_color_mask(mesh, path), render_color_mask(still, path), strict=True):
        assert torch.equal(moving, before)


def test_the_source_s_own_path_in_the_world_gives_the_clip_back():
    _, mesh = filmed("zoom")
    assert mesh.source_camera is not None
    follow = replace(mesh.source_camera, frame_of_reference="world")
    color, mask, _ = render_color_mask(mesh, follow, out_dtype="uint8")
    assert torch.equal(color[0], mesh.rgb[0])
    for t in (1, 2):
        seen = mask[t] > 0
        assert seen[1:-1, 1:-1].float().mean() > 0.7
        assert (color[t].int() - mesh.rgb[t].int()).abs()[seen].max() <= 2


def test_a_riding_path_zooms_with_the_source():
    _, mesh = filmed("zoom")
    color, _, _ = render_color_mask(mesh, Trajectory.preset("static", frames=3), out_dtype="uint8")
    assert torch.equal(color[0], mesh.rgb[0])
    assert (color[2].int() - mesh.rgb[2].int()).abs().float().mean() < 12  # holes are black
    steady, _, _ = render_color_mask(
        mesh, Trajectory.preset("static", frames=3, frame_of_reference="world"), out_dtype="uint8"
    )
    assert (steady[2].int() - mesh.rgb[2].int()).abs().float().mean() > 30


@pytest.mark.parametrize("style", ["released", "paper"])
@pytest.mark.parametrize("move", ["handheld", "zoom"])
@pytest.mark.parametrize("backend", [name for name in available_backends() if name != "torch"])
def test_every_backend_sees_the_same(move, style, backend):
    """nvdiffrast, where it is here, snaps vertices to 1/16 pixel: a few pixels along edges may be another surface's."""
    _, mesh = filmed(move, style)
    path = Trajectory.preset("orbit", frames=3, radius=3.0, angle=20, frame_of_reference="world")
    results = [render_color_mask(mesh, path, backend=name, antialias=False) for name in ("torch", backend)]
    few = 5e-3 if backend == "nvdiffrast" else 1e-3
    assert (results[0][1] != results[1][1]).float().mean() < few
    both = (results[0][1] > 0) & (results[1][1] > 0)
    apart = (results[0][2] / results[1][2].clamp_min(1e-6) - 1).abs()[both]
    assert (apart > 1e-3).float().mean() < (few if backend == "nvdiffrast" else 1e-9)


@pytest.mark.parametrize("style", ["released", "paper"])
def test_nvdiffrast_is_given_every_frame_s_vertices_through_its_own_lens(style):
    """Which needs neither CUDA nor nvdiffrast."""
    _, mesh = filmed("zoom", style)
    assert mesh.source_camera is not None
    pose = invert_pose(Trajectory.preset("orbit", frames=3, radius=3.0, angle=20).world_to_camera[2])
    lenses = [Intrinsics.from_focal(60.0 + 10 * t, 64, 48) for t in range(3)]
    views = [View(t, t, pose, lens) for t, lens in enumerate(lenses)]
    settings = Settings(1e-3, 1e3, 1, False, True, torch.device("cpu"), lambda: None, lambda: None)
    clip = _clip_positions(mesh, views, settings).double()
    for t, lens in enumerate(lenses):
        points = mesh.vertices_in_camera(t)[: mesh.height * mesh.width].double() @ torch.from_numpy(pose[:3, :3].T)
        points += torch.from_numpy(pose[:3, 3])
        front = points[:, 2] > 0.1
        x = (clip[t, :, 0] / clip[t, :, 3] + 1) * lens.width / 2
        y = (clip[t, :, 1] / clip[t, :, 3] + 1) * lens.height / 2
        torch.testing.assert_close(clip[t, :, 3], points[:, 2], rtol=1e-5, atol=1e-4)
        assert front.float().mean() > 0.5
        assert (x - lens.fx * points[:, 0] / points[:, 2] - lens.cx).abs()[front].max() < 0.01
        assert (y - lens.fy * points[:, 1] / points[:, 2] - lens.cy).abs()[front].max() < 0.01


def test_a_still_point_keeps_its_place_in_the_world_only():
    scene, mesh = filmed("dolly")
    k, pose = mesh.lens(2), scene.source_pose(24)
    # The ground below the ball: found in both frames by its exact place.
    point = np.array([-0.6, 1.32, 3.2])
    world, camera = mesh.vertices_in_world(2), mesh.vertices_in_camera(2)
    x, y, z = pose[:3, :3] @ point + pose[:3, 3]
    index = int(k.fy * y / z + k.cy) * mesh.width + int(k.fx * x / z + k.cx)
    assert np.linalg.norm(world[index].numpy() - point) < 0.06
    assert np.linalg.norm(camera[index].numpy() - point) > 0.3


def test_parts_and_coarser_meshes_keep_their_camera():
    _, mesh = filmed("zoom")
    part = mesh.part([1, 2])
    assert part.lens(1) == mesh.lens(2) and len(part.source_camera) == 2
    small = mesh.coarser(48 * 48)
    assert small.lens(2) == mesh.lens(2).resized(48, 48)
    assert torch.equal(mesh.quad_face_valid([0, 2])[1], mesh.quad_face_valid(2))
    path = Trajectory.preset("static", frames=3, frame_of_reference="world").for_scene(mesh.intrinsics)
    whole = render_color_mask(mesh, path)
    chunk = render_color_mask(part, path.part([1, 2]), keep_first_frame=False)
    assert torch.equal(whole[0][1:], chunk[0])


def test_the_first_frame_is_kept_where_the_path_starts_at_the_source_camera_of_that_frame():
    _, mesh = filmed("handheld")
    later = mesh.part([1, 2])
    path = Trajectory.preset("static", frames=2, frame_of_reference="world")
    _, mask, _ = render_color_mask(later, path)
    assert mask[0].min() == 0  # not where the source camera is at that frame
    _, mask, _ = render_color_mask(later, replace(later.source_camera, frame_of_reference="world"))
    assert mask[0].min() == 1


def test_a_lens_given_beside_a_zooming_camera_zooms_in_proportion():
    _, mesh = filmed("zoom")
    lens = Intrinsics.from_focal(50.0, 96, 96)
    built = build_dw_mesh(mesh.rgb, mesh.depth.clamp(max=60), lens, source_camera=mesh.source_camera)
    assert built.intrinsics == lens == built.lens(0)
    assert built.lens(2).fx == pytest.approx(50 * mesh.lens(2).fx / mesh.lens(0).fx)


def test_a_depth_clip_takes_a_path_and_makes_its_first_frame_the_world():
    scene = DemoScene(32, 24, 5, camera="zoom")
    _, depth = scene.clip()
    poses, lenses = scene.source_cameras()
    elsewhere = Trajectory(poses @ invert_pose(scene_pose()), tuple(k.resized(64, 48) for k in lenses))
    clip = DepthClip(depth).with_source_camera(elsewhere)
    np.testing.assert_allclose(clip.source_camera.world_to_camera, poses, atol=1e-6)
    assert clip.intrinsics == clip.source_camera.intrinsics[0] == lenses[0]
    larger = clip.resized(48, 64)
    assert larger.source_camera.intrinsics[4] == lenses[4].resized(64, 48)


def scene_pose():
    return DemoScene(8, 8, 9, camera="handheld").source_pose(7)


def test_a_source_camera_of_another_clip_is_refused():
    depth = torch.rand(3, 8, 8) + 2
    still = np.tile(np.eye(4), (3, 1, 1))
    with pytest.raises(EX4DError, match="2 poses and the clip 3 frames"):
        DepthClip(depth).with_source_camera(Trajectory(still[:2]))
    with pytest.raises(EX4DError, match="has 4 poses and the clip 3"):
        DepthClip(depth, source_camera=Trajectory(np.tile(np.eye(4), (4, 1, 1))))
    moved = still.copy()
    moved[:, 0, 3] = 1
    with pytest.raises(EX4DError, match="first pose is not the identity"):
        DepthClip(depth, source_camera=Trajectory(moved))
    wide = (Intrinsics.default(16, 8),) * 3
    with pytest.raises(EX4DError, match="another shape"):
        DepthClip(depth).with_source_camera(Trajectory(still, wide))
    with pytest.raises(EX4DError, match="lens at frame 0 is for 16x8"):
        DepthClip(depth, source_camera=Trajectory(still, wide))


def test_a_riding_path_can_be_told_in_the_world():
    scene = DemoScene(8, 8, 9, camera="handheld")
    source = Trajectory(scene.source_cameras()[0])
    riding = Trajectory.preset("orbit", frames=9, radius=3.0)
    world = in_the_world(riding, source)
    assert world.frame_of_reference == "world" and world.path is None
    np.testing.assert_allclose(
        world.world_to_camera @ invert_pose(source.world_to_camera), riding.world_to_camera, atol=1e-5
    )
    assert in_the_world(world, source) is world


def test_a_source_camera_told_by_fields_of_view_gets_the_clip_s_size():
    keys = [{"frame": t, "position": [0.1 * t, 0, 0], "target": [0, 0, 9], "fov": 40 + t} for t in range(3)]
    path = Trajectory.from_json({"version": 1, "frames": 3, "keyframes": keys})
    clip = DepthClip(torch.rand(3, 12, 16) + 2).with_source_camera(path)
    assert [lens.vertical_fov for lens in clip.source_camera.intrinsics] == pytest.approx([40, 41, 42])
    assert {(lens.width, lens.height) for lens in clip.source_camera.intrinsics} == {(16, 12)}


@pytest.mark.parametrize("move", ["handheld", "zoom"])
def test_the_editor_s_scene_file_tells_the_source_camera_of_its_frames(move):
    _, mesh = filmed(move)
    read = decode_preview(encode_preview(mesh)).mesh()
    np.testing.assert_allclose(read.source_camera.world_to_camera, mesh.source_camera.world_to_camera, atol=1e-6)
    assert read.lens(2).fx / read.width == pytest.approx(mesh.lens(2).fx / mesh.width)
    path = Trajectory.preset("static", frames=3, frame_of_reference="world")
    shown, truth = (render_color_mask(m, path, size=(96, 96))[1] for m in (read, mesh))
    assert (shown == truth).float().mean() > 0.95


def test_the_scene_file_of_a_still_camera_says_nothing_of_it():
    _, mesh = filmed("locked-off")
    still = decode_preview(encode_preview(replace(mesh, source_camera=None)))
    assert not [name for name in still.header if name.startswith("source_")] and still.mesh().source_camera is None
