"""Two eyes: where they are, what they see on ground truth, what is carried over, how they lie in a frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ex4d_core.camera import Intrinsics
from ex4d_core.demo_scene import DemoScene
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.stereo import LAYOUTS, Rig, StereoPair, carry_over, lay_out, render_stereo, two_eyes
from ex4d_core.trajectory import Trajectory

SIDE = 256


@pytest.fixture(scope="module")
def scene() -> DemoScene:
    return DemoScene(SIDE, SIDE, 8)


@pytest.fixture(scope="module")
def pair(scene: DemoScene) -> StereoPair:
    """Both eyes, 20 degrees beside the source camera."""
    rgb, depth = scene.frame(0)
    mesh = build_dw_mesh(rgb[None], depth[None], scene.intrinsics, style="paper")
    path = Trajectory.preset("orbit", frames=2, radius=mesh.radius, angle=20).part([1])
    return render_stereo(mesh, path, Rig(0.085, convergence=mesh.radius))


def true_disparity(pair: StereoPair, z: torch.Tensor) -> torch.Tensor:
    """Right minus left, in pixels."""
    return pair.left.lenses[0].fx * pair.rig.distance * (1 / pair.rig.convergence - 1 / z)


def at_right(picture: torch.Tensor, disparity: torch.Tensor, mode: str) -> torch.Tensor:
    """The right eye's picture where it shows what the left eye's pixels do, (H, W)."""
    side = torch.arange(SIDE) + 0.5
    grid = torch.stack([2 * (side + disparity) / SIDE - 1, (2 * side / SIDE - 1)[:, None].expand(SIDE, SIDE)], -1)
    return F.grid_sample(picture[None, None], grid[None], mode=mode, align_corners=False)[0, 0]


def seen_by_both(scene: DemoScene, pair: StereoPair) -> tuple[torch.Tensor, torch.Tensor]:
    """Where both eyes really see a point and the renders show both, and the left eye's true depth."""
    left, right = (
        scene.frame(0, eye.trajectory.world_to_camera[0], eye.lenses[0])[1] for eye in (pair.left, pair.right)
    )
    disparity = true_disparity(pair, left)
    same = (at_right(right, disparity, "nearest") / left - 1).abs() < 0.01
    shown = (pair.left.mask[0] > 0) & (at_right(pair.right.mask[0], disparity, "nearest") > 0)
    return same & shown, left


def test_the_eyes_stand_beside_the_path_and_meet_at_the_convergence():
    lens = Intrinsics.default(64, 48)
    path = Trajectory.preset("orbit", frames=3, radius=2.0, angle=40).for_scene(lens)
    for hero, places in (("both", (-0.1, 0.1)), ("left", (0, 0.2)), ("right", (-0.2, 0))):
        eyes = two_eyes(path, Rig(200, "mm", convergence=2.0, hero=hero))
        for eye, place in zip(eyes, places, strict=True):
            # The camera centre, seen from the path's camera.
            centre = path.world_to_camera[2] @ np.linalg.inv(eye.world_to_camera[2].astype(np.float64))
            assert np.allclose(centre[:3, 3], [place, 0, 0], atol=1e-6)
        at_screen = path.world_to_camera[2].astype(np.float64)
        point = np.linalg.inv(at_screen) @ [0.3, 0.2, 2.0, 1]
        seen = []
        for eye in eyes:
            x, _, z, _ = eye.world_to_camera[2] @ point
            seen.append(eye.intrinsics[2].fx * x / z + eye.intrinsics[2].cx)
        assert seen[0] == pytest.approx(seen[1], abs=1e-5) == pytest.approx(lens.fx * 0.15 + lens.cx, abs=1e-5)


def test_disparity_is_right_where_both_eyes_see(scene, pair):
    both, depth = seen_by_both(scene, pair)
    assert both.float().mean() > 0.5
    error = (true_disparity(pair, pair.left.depth[0]) - true_disparity(pair, depth)).abs()[both]
    assert error.mean() <= 0.02
    assert (error <= 0.1).float().mean() >= 0.99
    # The rest are silhouettes, of this camera and the source's, which show the surface beside.
    farthest, nearest = (F.max_pool2d(sign * depth[None], 3, 1, 1)[0] * sign for sign in (1, -1))
    assert (error[(farthest / nearest < 1.03)[both]] <= 0.1).float().mean() >= 0.997


def test_disparity_of_the_pictures_themselves_is_right(scene, pair):
    """What is left between both pictures at the true disparity, by least squares over windows (Lucas and Kanade 1981)."""
    both, depth = seen_by_both(scene, pair)
    left, right = (eye.color[0].mean(-1) for eye in (pair.left, pair.right))
    right = at_right(right, true_disparity(pair, depth), "bicubic")
    slope = F.pad((right[:, 2:] - right[:, :-2]) / 2, (1, 1))

    def over_windows(values: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(values[None, None].double(), 15, 1, 7)[0, 0]

    textured = over_windows(slope * slope)
    whole = F.max_pool2d(1 - both[None, None].float(), 15, 1, 7)[0, 0] == 0
    good = whole & (textured > 3e-4)
    assert good.sum() > 3000
    left_over = (over_windows(slope * (left - right)) / textured)[good].abs()
    assert left_over.mean() <= 0.1 and left_over.median() <= 0.05


def test_disparity_is_told_and_too_much_of_it_warned_about(pair):
    told = pair.disparity
    z = pair.left.depth[0][pair.left.mask[0] > 0]
    exact = 100 * true_disparity(pair, z) / SIDE
    assert told.nearest == pytest.approx(float(exact.quantile(0.01)), abs=0.01)
    assert told.farthest == pytest.approx(float(exact.quantile(0.99)), abs=0.01)
    assert "BSkyB" in told.lines()[1] and told.farthest > 2
    assert told.comfortable == pytest.approx(0.085 * 2 / told.farthest)


def test_what_was_generated_for_the_left_eye_is_carried_over(scene, pair):
    """The left eye's result is the truth, holes included: the right eye gets it where it belongs."""
    views = [scene.frame(0, eye.trajectory.world_to_camera[0], eye.lenses[0])[0] for eye in (pair.left, pair.right)]
    result, truth = (view[None].float() / 255 for view in views)
    guided = carry_over(pair, result)
    assert guided.holes_before > 0.15 and guided.holes_after < 0.4 * guided.holes_before
    seen = pair.right.mask > 0
    carried = (guided.mask > 0) & ~seen
    assert (guided.mask[seen] == 1).all()
    error = (guided.color - truth).abs().mean(-1)
    assert error[seen].mean() < 0.02 and error[carried].median() < 0.03
    assert (guided.color[guided.mask == 0] == 0).all()


def test_only_the_same_surface_is_carried_over():
    """A near square before a wall: the strip of wall that only the right eye sees keeps what was rendered."""
    depth = torch.full((1, 40, 60), 8.0)
    depth[:, 10:30, 20:40] = 2.0
    rgb = torch.full((1, 40, 60, 3), 200, dtype=torch.uint8)
    rgb[:, 10:30, 20:40] = 40
    mesh = build_dw_mesh(rgb, depth, style="paper")
    pair = render_stereo(mesh, Trajectory.preset("static", frames=1), Rig(0.2, convergence=8.0), out_dtype="uint8")
    red = pair.left.color.clone()
    red[(red == 40).all(-1)] = torch.tensor([255, 0, 0], dtype=torch.uint8)
    guided = carry_over(pair, red, hole_color=(1, 0, 1))
    square = (pair.right.color == 40).all(-1)
    assert square.sum() > 300
    inside = F.max_pool2d((~square).float()[:, None], 3, 1, 1)[:, 0] == 0
    assert (guided.color[inside] == torch.tensor([255, 0, 0], dtype=torch.uint8)).all()
    wall = (pair.right.color == 200).all(-1)
    assert (guided.color[wall] == 200).float().mean() > 0.98
    assert (guided.color[guided.mask == 0] == torch.tensor([255, 0, 255], dtype=torch.uint8)).all()


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_layouts(kind):
    full = 200 if kind == torch.uint8 else 0.8
    left, right = (torch.zeros(2, 6, 8, 3, dtype=kind) for _ in range(2))
    left[..., 0], right[..., 1] = full, full
    shapes = {layout: tuple(lay_out(left, right, layout).shape[1:3]) for layout in LAYOUTS}
    assert list(shapes.values()) == [(6, 16), (6, 8), (12, 8), (6, 8), (6, 8)]
    for layout in LAYOUTS[:4]:
        both = lay_out(left, right, layout)
        rows, columns = both.shape[1:3]
        rows, columns = (rows // 2, columns) if layout.startswith("over") else (rows, columns // 2)
        assert (both[:, :rows, :columns] == left[0, 0, 0]).all() and (
            both[:, -rows:, -columns:] == right[0, 0, 0]
        ).all()
    with pytest.raises(EX4DError, match="7 pixels, which is odd"):
        lay_out(left[:, :, :7], right[:, :, :7], "side by side half")


def test_the_anaglyph_keeps_grey_and_parts_the_eyes():
    grey = torch.full((1, 2, 2, 3), 0.4)
    assert (lay_out(grey, grey, "anaglyph") - 0.4).abs().max() < 2e-3
    white, black = torch.ones(1, 2, 2, 3), torch.zeros(1, 2, 2, 3)
    for eyes, strong in (((white, black), [0]), ((black, white), [1, 2])):
        mixed = lay_out(*eyes, "anaglyph")[0, 0, 0]
        assert (mixed[strong] > 0.98).all() and mixed[[c for c in range(3) if c not in strong]].max() < 0.01


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: Rig(0), "eyes must be apart"),
        (lambda _: Rig(-1, "mm"), "63 mm"),
        (lambda _: Rig(float("nan")), "eyes must be apart"),
        (lambda _: Rig(1, convergence=-2), "behind the camera"),
        (lambda _: Rig(1, convergence=float("nan")), "behind the camera"),
        (lambda _: Rig(1, "feet"), "unit is one of scene units, mm"),
        (lambda pair: carry_over(pair, pair.left.color[:, :9]), "256x9 and the left eye 1 frames of 256x256"),
        (
            lambda pair: carry_over(pair, pair.left.color[:0]),
            "0 frames of 256x256 .* Make the path 0 frames long, or hold",
        ),
        (lambda pair: carry_over(pair, pair.left.color.byte()), "left_result holds torch.uint8"),
        (lambda pair: lay_out(pair.left.color, pair.left.color, "cross"), "side by side, "),
        (lambda pair: lay_out(pair.left.color, pair.left.color[:, 1:], "anaglyph"), "Render both at one size"),
        (lambda _: two_eyes(Trajectory.preset("static", frames=1), Rig(1)), "lens for every frame"),
    ],
)
def test_bad_input_is_told(pair, make, said):
    with pytest.raises(EX4DError, match=said):
        make(pair)


def test_a_path_that_bends_time_and_cancelling(pair):
    mesh = build_dw_mesh(torch.rand(3, 16, 16, 3), torch.full((3, 16, 16), 4.0))
    path = replace(Trajectory.preset("static", frames=2), path=None, shown=(2, 0))
    done = []
    both = render_stereo(mesh, path, Rig(1e-6), progress=lambda *at: done.append(at), out_dtype="uint8")
    straight = render_stereo(mesh, Trajectory.preset("static", frames=3), Rig(1e-6), out_dtype="uint8")
    assert torch.equal(both.left.color, straight.left.color[[2, 0]]) and done[-1] == (4, 4)
    with pytest.raises(Cancelled):
        carry_over(both, both.left.color, cancel=lambda: True)
