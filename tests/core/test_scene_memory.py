"""A scene that remembers: what other frames saw fills holes, nothing that moves does, and what was seen stays as it is."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from ex4d_core.camera import Intrinsics, invert_pose
from ex4d_core.demo_scene import SUBJECT, DemoScene
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.evaluation.memory import MemoryGrade, grade_memory, seen_by_all
from ex4d_core.mesh import DWMesh, build_dw_mesh
from ex4d_core.render import recall, render_color_mask, torch_triangles
from ex4d_core.render.recollection import PASSES, STOPPED, Recollection
from ex4d_core.scene_memory import SceneMemory, remember_scene
from ex4d_core.scene_memory.bodies import whole_bodies
from ex4d_core.scene_memory.rims import rims
from ex4d_core.scene_memory.sights import Sights
from ex4d_core.scene_memory.surface import joined, whole_quads
from ex4d_core.trajectory import Trajectory

FRAMES, SIZE = 13, 112


def _wall_and_card() -> tuple[DWMesh, torch.Tensor]:
    """A patterned wall at 8, a card at 2 that slides from left to right over seven frames; and the wall's picture."""
    size, frames = 96, 7
    draw = torch.Generator().manual_seed(3)
    wall = torch.rand((1, 3, size // 8, size // 8), generator=draw)
    wall = torch.nn.functional.interpolate(wall, (size, size), mode="bilinear")[0].permute(1, 2, 0)
    rgb, depth = wall.expand(frames, -1, -1, -1).clone(), torch.full((frames, size, size), 8.0)
    for t in range(frames):
        card = (t, slice(28, 68), slice(4 + 10 * t, 28 + 10 * t))
        rgb[card], depth[card] = torch.tensor([1.0, 0.0, 1.0]), 2.0
    return build_dw_mesh(rgb, depth, Intrinsics.from_focal(96.0, size, size), style="paper"), wall


def _held(pose: np.ndarray, frames: int) -> Trajectory:
    return Trajectory(np.repeat(pose[None], frames, 0), frame_of_reference="world")


def _sideways(x: float) -> np.ndarray:
    pose = np.eye(4)
    pose[0, 3] = -x
    return pose


@pytest.fixture(scope="module")
def card() -> tuple[DWMesh, torch.Tensor, SceneMemory]:
    mesh, wall = _wall_and_card()
    return mesh, wall, remember_scene(mesh, frames=4)


def test_what_a_card_hides_is_taken_from_the_frames_where_it_was_elsewhere(
    card: tuple[DWMesh, torch.Tensor, SceneMemory],
) -> None:
    mesh, wall, memory = card
    path = _held(_sideways(0.5), mesh.frames)
    color, mask, depth = render_color_mask(mesh, path, keep_first_frame=False)
    with_memory, filled, distance, remembered = render_color_mask(mesh, path, memory=memory, keep_first_frame=False)
    new = remembered > 0
    # The card moves by 24 pixels in the picture, the wall by 6; of the 18 columns between, those that pass through a card
    # as deep as it is wide stay holes.
    assert 300 < int(new[3].sum()) < 18 * 40
    assert not (new & (mask > 0)).any() and bool((filled[new] == 1).all())
    torch.testing.assert_close(distance[new], torch.full_like(distance[new], 8.0), rtol=1e-5, atol=0)
    # The wall moves by 6 pixels in the picture: 0.5 units, 96 pixels of focal length, at 8.
    for t, i, j in new.nonzero().tolist():
        torch.testing.assert_close(with_memory[t, i, j], wall[i, j + 6], atol=0.006, rtol=0)
    # What the frame itself saw is as without a memory, and so is every other hole.
    assert torch.equal(with_memory[~new], color[~new])
    assert torch.equal(filled[~new], mask[~new]) and torch.equal(distance[~new], depth[~new])


def test_the_memory_holds_nothing_of_what_moves(card: tuple[DWMesh, torch.Tensor, SceneMemory]) -> None:
    mesh, _, memory = card
    assert (memory.layer.points[:, 2] > 7.9).all()
    assert memory.still_share > 0.6
    # Fused: no place of the wall is there twice, but for the rims where pieces meet.
    assert len(memory.layer.without_rims().faces.unique()) < 1.3 * mesh.height * mesh.width


def test_a_body_is_as_deep_as_it_is_wide_and_moving_bodies_hide_what_is_behind(
    card: tuple[DWMesh, torch.Tensor, SceneMemory],
) -> None:
    memory = card[2]
    t, row, column = 3, 48 // 2, 46 // 2
    assert memory.moving[t, row, column] and not memory.moving[t, 4, 4]
    # The card is 24 pixels wide and 40 high, seen at 2 through 96 pixels of focal length.
    assert float(memory.solids.back[t, row, column] - memory.solids.front[t, row, column]) == pytest.approx(
        0.5, rel=0.2
    )


def test_compiled_code_and_torch_fill_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = DemoScene(48, 40, 5, camera="dolly")
    mesh, memory = _remembered(scene, "released")
    path = Trajectory.preset("orbit", frames=5, angle=50, radius=mesh.radius, frame_of_reference="world")
    for dtype in ("uint8", "float32"):
        pytest.importorskip("numba")
        compiled = render_color_mask(mesh, path, memory=memory, backend="torch", out_dtype=dtype)
        with monkeypatch.context() as patch:
            patch.setattr(recall, "load_problem", lambda _: "left out")
            plain = render_color_mask(mesh, path, memory=memory, backend="torch", out_dtype=dtype)
        assert int((compiled[3] > 0).sum()) > 100
        for one, other in zip(compiled, plain, strict=True):
            torch.testing.assert_close(one.float(), other.float(), rtol=1e-6, atol=1.0 if dtype == "uint8" else 1e-5)


def _remembered(scene: DemoScene, style: str, **options: object) -> tuple[DWMesh, SceneMemory]:
    rgb, depth = scene.clip()
    poses, _ = scene.source_cameras()
    source = None if scene.camera == "locked-off" else Trajectory(poses, frame_of_reference="world")
    mesh = build_dw_mesh(rgb, depth, scene.intrinsics, style=style, source_camera=source)
    return mesh, remember_scene(mesh, **options)


def _grades(scene: DemoScene, mesh: DWMesh, memory: SceneMemory, angles: tuple[int, ...]) -> MemoryGrade:
    source = scene.clip()
    still = torch.stack([scene.still(t) for t in range(scene.frames)]).reshape(-1)
    flags = (~still[memory.layer.source]).to(torch.uint8)[:, None] * 255
    flagged = replace(memory, layer=replace(memory.layer, colors=flags.expand(-1, 3).contiguous()))
    total = MemoryGrade()
    for angle in angles:
        pose = Trajectory.preset("orbit", frames=2, angle=angle, radius=mesh.radius).world_to_camera[1].astype(float)
        shown = (0, scene.frames // 2, scene.frames - 1)
        path = replace(_held(pose, len(shown)), shown=shown)
        settings = {"keep_first_frame": False, "out_dtype": "uint8"}
        color, mask, depth, new = render_color_mask(mesh, path, memory=memory, **settings)
        moving = render_color_mask(mesh, path, memory=flagged, **settings)[0][..., 0] > 127
        for n, t in enumerate(shown):
            truth = seen_by_all(scene, source, t, pose)
            total += grade_memory(color[n], mask[n], depth[n], new[n], moving[n], truth)
    return total


@pytest.mark.parametrize(("camera", "gain", "share"), [("handheld", 0.04, 0.8), ("locked-off", 0.03, 0.85)])
def test_most_of_what_any_frame_saw_is_shown_and_little_of_it_is_wrong(camera: str, gain: float, share: float) -> None:
    scene = DemoScene(SIZE, SIZE, FRAMES, samples=2, camera=camera, visitor=True)
    grade = _grades(scene, *_remembered(scene, "paper"), (-30, 30))
    assert grade.with_memory > max(share, grade.without_memory + gain)
    assert grade.wrong_share < 0.06  # outlines, which are a tenth of so small a picture
    assert grade.ghost_share < 0.001
    assert grade.psnr > 30


def test_what_rests_for_half_of_the_clip_never_enters() -> None:
    scene = DemoScene(SIZE, SIZE, FRAMES, samples=1, visitor=True)
    _, memory = _remembered(scene, "paper")
    _, with_cart = scene.clip()
    _, without = replace(scene, visitor=False).clip()
    cart = (with_cart != without).reshape(-1)
    assert int(cart.sum()) > 500
    assert int(cart[memory.layer.source].sum()) <= 5
    # ... while the ground that it stood on does, from the frames in which it had left.
    near_cart = (memory.layer.points - torch.tensor([1.05, 1.32, 4.9])).norm(dim=1) < 0.3
    assert int(near_cart.sum()) > 10


def test_a_place_has_one_colour_for_the_whole_shot() -> None:
    scene = DemoScene(SIZE, SIZE, FRAMES, samples=1, camera="handheld")
    mesh, memory = _remembered(scene, "paper")
    pose = Trajectory.preset("orbit", frames=2, angle=30, radius=mesh.radius).world_to_camera[1].astype(float)
    color, _, _, new = render_color_mask(
        mesh, _held(pose, FRAMES), memory=memory, out_dtype="uint8", keep_first_frame=False
    )
    both = (new[1:] > 0) & (new[:-1] > 0)
    assert int(both.sum()) > 500
    # The pose is multiplied out in every frame: where two pieces meet its last digits may decide between them.
    changed = (color[1:][both].int() - color[:-1][both].int()).abs().amax(-1)
    assert float((changed > 1).float().mean()) < 1e-3


def test_a_part_of_the_clip_renders_as_in_the_whole() -> None:
    scene = DemoScene(64, 48, 6, camera="handheld")
    mesh, memory = _remembered(scene, "released")
    path = Trajectory.preset("orbit", frames=6, angle=40, radius=mesh.radius, frame_of_reference="world")
    whole = render_color_mask(mesh, path, memory=memory, keep_first_frame=False)
    part = slice(2, 5)
    some = render_color_mask(mesh.part(part), path.part(part), memory=memory.part(part), keep_first_frame=False)
    for one, other in zip(some, whole, strict=True):
        assert torch.equal(one, other[part])
    with pytest.raises(EX4DError, match=r"of 6 frames .* the mesh has 3"):
        render_color_mask(mesh.part(part), path.part(part), memory=memory)


def test_one_frame_remembers_nothing_and_a_kept_frame_stays() -> None:
    still = build_dw_mesh(torch.rand(1, 16, 16, 3), torch.full((1, 16, 16), 4.0))
    memory = remember_scene(still)
    assert memory.frames == () and len(memory.layer.faces) == 0
    path = Trajectory.preset("static", frames=2)
    color, mask, _, remembered = render_color_mask(still, path, memory=memory)
    assert not remembered.any() and bool(mask[0].all())
    unfaded = render_color_mask(still, path, hole_color="white")[0]
    assert torch.equal(color[mask > 0], unfaded[mask > 0])


def test_a_moving_camera_without_poses_is_told(caplog: pytest.LogCaptureFixture) -> None:
    scene = DemoScene(64, 64, 9, camera="dolly")
    mesh = build_dw_mesh(*scene.clip(), scene.intrinsics)
    with caplog.at_level(logging.WARNING):
        memory = remember_scene(mesh)
    assert "taken as fixed" in caplog.text
    assert memory.still_share < 0.5


def test_progress_ends_at_its_total_and_a_cancel_ends_it() -> None:
    mesh, _ = _wall_and_card()
    told: list[tuple[int, int]] = []
    remember_scene(mesh, progress=lambda *at: told.append(at))
    assert told[-1][0] == told[-1][1] and [done for done, _ in told] == sorted(done for done, _ in told)
    polls = iter([False] * 5 + [True])
    with pytest.raises(Cancelled):
        remember_scene(mesh, cancel=lambda: next(polls))
    memory, told = remember_scene(mesh), []
    path = _held(_sideways(0.5), mesh.frames)
    render_color_mask(mesh, path, memory=memory, progress=lambda *at: told.append(at))
    assert told == [(n, 2 * mesh.frames) for n in range(1, 2 * mesh.frames + 1)]
    polls = iter([False] * (mesh.frames + 3) + [True] * 100)
    with pytest.raises(Cancelled):
        render_color_mask(mesh, path, memory=memory, backend="torch", cancel=lambda: next(polls))


@pytest.mark.parametrize(
    ("options", "said"), [({"frames": 0}, "1 to 32"), ({"strictness": "fair"}, "strict, normal, loose")]
)
def test_mistakes_are_told(options: dict, said: str) -> None:
    mesh, _ = _wall_and_card()
    with pytest.raises(EX4DError, match=said):
        remember_scene(mesh, **options)


def test_the_scene_tells_what_never_moves() -> None:
    scene = DemoScene(64, 64, 8, visitor=True)
    still = scene.still(1)
    k, (x, y, z) = scene.intrinsics, SUBJECT
    assert not still[int(k.fy * y / z + k.cy), int(k.fx * x / z + k.cx)]  # the ball turns in its place
    assert still[60, 32]  # the plinth
    x, y, z = 1.05, 0.88, 4.2
    place = int(k.fy * y / z + k.cy), int(k.fx * x / z + k.cx)
    assert not still[place]
    gone, _ = scene.frame(7.6)
    here, _ = scene.frame(1)
    assert not torch.equal(gone[place], here[place])
    assert torch.equal(torch.from_numpy(invert_pose(np.eye(4))), torch.eye(4, dtype=torch.float64))


def test_noise_of_the_depth_is_allowed_for() -> None:
    scene = DemoScene(SIZE, SIZE, 7, camera="handheld")
    rgb, depth = scene.clip()
    draw = torch.Generator().manual_seed(0)
    noisy = depth * torch.exp(0.02 * torch.randn(depth.shape, generator=draw))
    source = Trajectory(scene.source_cameras()[0], frame_of_reference="world")
    meshes = [
        build_dw_mesh(rgb, part, scene.intrinsics, style="paper", source_camera=source) for part in (noisy, depth)
    ]
    memory, exact = (remember_scene(mesh) for mesh in meshes)
    assert 0.01 <= exact.tolerance < 0.015 and 0.05 < memory.tolerance < 0.1
    assert memory.still_share > 0.6 * exact.still_share > 0.3
    # Places are means of what the frames say: half of normal numbers are beyond 0.67 standard deviations, 1.3 % of a depth.
    sights, layer = Sights.of(meshes[1]), memory.layer.without_rims()
    vertex = layer.faces.unique().long()
    true = torch.stack([sights.points(t) for t in range(7)]).reshape(-1, 3)[layer.source[vertex]]
    assert float(((layer.points[vertex] - true).norm(dim=1) / true.norm(dim=1)).median()) < 0.009


def _still_body_below_a_moving_one() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(1, 40, 40) what is contradicted, what tells, and depth: two plates at 3 and 5, each in a wall at 9."""
    depth = torch.full((1, 40, 40), 9.0)
    depth[:, 4:16, 4:36], depth[:, 24:36, 4:36] = 3.0, 5.0
    contradicted, telling = torch.zeros((2, 1, 40, 40), dtype=torch.bool)
    contradicted[:, 4:6, 4:36] = contradicted[:, 24:26, 4:36] = True  # a sixth of either
    telling[:, 24:36:2, 4:36] = True  # one is striped, the other plain
    return contradicted, telling & ~contradicted, depth


def test_a_plain_body_moves_whole_and_one_whose_pattern_rests_does_not() -> None:
    contradicted, telling, depth = _still_body_below_a_moving_one()
    moves = whole_bodies(contradicted, telling, depth, 0.02)
    assert bool(moves[:, 4:16, 4:36].all())
    assert not moves[:, 16:].any() and int(moves.sum()) == 12 * 32


def test_a_plain_wall_stays_where_something_moves_before_it() -> None:
    """Few of its pixels would tell that it moves, and around the card all of those are contradicted."""
    depth, near = torch.full((1, 40, 60), 8.0), torch.zeros(1, 40, 60, dtype=torch.bool)
    depth[:, 10:30, 20:34] = 2.0
    near[:, 10:30, 15:20] = True
    nothing = torch.zeros_like(near)
    assert not whole_bodies(near, nothing, depth, 0.02).any()
    grown = near.clone()
    grown[:, :, :15] = True
    moves = whole_bodies(grown, nothing, depth, 0.02)
    assert moves[depth > 4].all() and not moves[depth < 4].any()


def test_the_ring_around_a_picture_breaks_no_surface() -> None:
    """A floor that recedes by more than 2 % a row; its outermost row repeats the next one, as a frame's does."""
    rows = torch.arange(12, dtype=torch.float32)
    depth = (1 / (1.0 - 0.05 * rows))[:, None].expand(12, 8).clone()
    depth[0], depth[-1] = depth[1], depth[-2]
    across, down = joined(depth)
    assert bool(across.all()) and bool(down.all())
    depth[6:] += 9
    assert not joined(depth)[1][5].any()


def test_a_surface_goes_on_half_a_pixel_behind_a_nearer_one_and_not_before_a_farther_one() -> None:
    """A floor that recedes by rows, a card before its middle, a wall behind it; on the floor's plane 1/z falls by 0.02 a row."""
    rows = torch.arange(12, dtype=torch.float64)
    floor = 1 / (0.5 - 0.02 * rows)
    depth = floor[:, None].expand(12, 12).float().clone()
    depth[:, 4:8], depth[:, 10:] = 0.5, 40.0
    found = rims(depth, whole_quads(depth), torch.ones(12, 12, dtype=torch.bool), 0.02)
    side = found.pixel % 12
    # Column 10 is the wall's end behind the floor; neither the card's sides are there nor the floor's before the wall.
    assert set(side.tolist()) == {3, 8, 10}
    on_floor = side < 10
    torch.testing.assert_close(found.depth[on_floor], 1 / (0.5 - 0.02 * found.row[on_floor]))
    assert set(found.column[side == 3].unique().tolist()) == {3.0, 3.5}
    assert set(found.column[side == 8].unique().tolist()) == {7.5, 8.0}
    upper_left, upper_right, lower_left, lower_right = range(4)
    for near, far in ((upper_left, upper_right), (lower_left, lower_right)):
        assert bool((found.column[:, far] - found.column[:, near] == 0.5).all())
    assert bool((found.row[:, lower_right] - found.row[:, upper_right] == 0.5).all())


def test_rims_are_told_from_what_lies_between_pixels(card: tuple[DWMesh, torch.Tensor, SceneMemory]) -> None:
    layer = card[2].layer
    whole = layer.without_rims()
    corners = layer.source[layer.faces.long()]
    assert 0 < len(whole.faces) < len(layer.faces)
    assert len(layer.faces) - len(whole.faces) == int((corners == corners[:, :1]).all(1).sum())


def test_pieces_of_different_frames_meet_without_a_gap() -> None:
    """A plane before a camera that slides by fractions of a pixel: what the frames saw together has no seam."""
    size, frames, slide, pixel = 48, 9, 2.36, 4.0 / 48
    place = torch.arange(size)[None] + slide * torch.arange(frames)[:, None]
    rgb = (place / 80)[:, None, :, None].expand(-1, size, -1, 3)
    source = Trajectory(np.stack([_sideways(slide * t * pixel) for t in range(frames)]), frame_of_reference="world")
    lens = Intrinsics.from_focal(48.0, size, size)
    mesh = build_dw_mesh(rgb, torch.full(rgb.shape[:3], 4.0), lens, style="paper", source_camera=source)
    memory = remember_scene(mesh)
    assert len(memory.frames) > 1
    for shift in (0.1, 0.4, 0.7):
        path = _held(_sideways(shift * pixel), frames)
        _, _, depth, new = render_color_mask(mesh, path, memory=memory, keep_first_frame=False)
        # Its first columns were seen by too few frames to be trusted.
        inside = depth[-1, 3:-3, 8:-1]
        torch.testing.assert_close(inside, torch.full_like(inside, 4.0), rtol=1e-5, atol=0)
        assert bool((new[-1, 3:-3, 8:18] > 0).all())


def test_a_ray_whose_steps_no_whole_number_holds_passes_by(card: tuple[DWMesh, torch.Tensor, SceneMemory]) -> None:
    """It begins 1e-18 before a camera that stands a unit lower: 1e20 cells below its picture, and left of it throughout."""
    memory, near = card[2], 1e-18
    beside = np.eye(4)[None, :3].repeat(1 + len(memory.frames), 0)
    beside[:, :2, 3] = -near, 1.0
    view = Recollection(0, 0, np.eye(4)[:3], (1.0, 1.0, 10.0, 0.0), np.full((len(beside), 4), 100.0), beside)
    sample, depth = torch.tensor([0]), torch.tensor([8.0], dtype=torch.float64)
    assert not torch_triangles._walk(memory, view, sample, depth, 1, near).any()


def test_a_ray_is_told_what_those_around_it_are_where_they_agree_and_end_as_far_off() -> None:
    """Corners two samples apart; of the samples between them each takes the two or four around it."""
    passes, stopped = PASSES, STOPPED
    told = torch.tensor([[passes, 0, passes, 0, stopped], [0] * 5, [passes, 0, passes, 0, stopped], [0] * 5])
    found = torch.full((4, 5), 4.0)
    wanted = torch.tensor([[0, passes, 0, 0, 0], [passes, passes, passes, 0, stopped], [0, passes, 0, 0, 0], [0] * 5])

    def asked(told: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
        row, column = (told == 0).nonzero().unbind(1)
        answer = torch_triangles._as_around(
            found.reshape(-1).double(), told.reshape(-1).byte(), (4, 5), 2, row, column, 0.01
        )
        kernels = pytest.importorskip("ex4d_core.render.numba_triangles")
        places = zip(row.tolist(), column.tolist(), strict=True)
        compiled = [kernels._as_around.py_func(found.numpy(), told.byte().numpy(), 2, y, x, 0.01) for y, x in places]
        assert answer.tolist() == compiled
        return torch.zeros((4, 5), dtype=torch.long).index_put((row, column), answer.long())

    assert torch.equal(asked(told, found), wanted)
    found[1, 1], found[1, 4] = 4.1, 3.9  # behind what the others end on, and before what stopped them
    wanted[1, 1] = wanted[1, 4] = 0
    assert torch.equal(asked(told, found), wanted)
    found[1, 1], found[1, 4] = 3.9, 4.1
    wanted[1, 1], wanted[1, 4] = passes, stopped
    assert torch.equal(asked(told, found), wanted)
