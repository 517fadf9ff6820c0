"""Simulated masks and the trackers under them, on scenes whose answers are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from ex4d_core.demo_scene import DemoScene
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.render import render_color_mask
from ex4d_core.training.draws import stream
from ex4d_core.training.masks import (
    MASK_KINDS,
    SWEEPS,
    CropWindow,
    MaskSettings,
    crop_frames,
    crop_mask,
    draw_crop,
    needs_mesh,
    needs_tracker,
    simulate_mask,
)
from ex4d_core.training.masks.blocks import draw_hidden, grid_points, hide_blocks
from ex4d_core.training.masks.crop import SCALE
from ex4d_core.training.masks.rendering import dilated, draw_angles, orbit, rendering_mask, visible_mask
from ex4d_core.training.trackers import (
    TRACKERS,
    Tracks,
    TracksFile,
    choose_tracker,
    load_tracks,
    save_tracks,
)
from ex4d_core.training.trackers.grade import grade

FRAMES, SIZE = 5, 64


@pytest.fixture(scope="module")
def clip():
    scene = DemoScene(SIZE, SIZE, FRAMES)
    pictures = [scene.frame(t) for t in range(FRAMES)]
    return torch.stack([rgb for rgb, _ in pictures]), torch.stack([depth for _, depth in pictures])


@pytest.fixture(scope="module")
def mesh(clip):
    return build_dw_mesh(*clip, style="paper")


def texture(height, width, seed=0):
    """A smooth picture with something to hold on to everywhere."""
    noise = torch.rand(1, 3, height // 6, width // 6, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(noise, (height, width), mode="bicubic", align_corners=False)
    return (smooth[0].permute(1, 2, 0).clamp(0, 1) * 255).to(torch.uint8).numpy()


def moving(frames=6, step=(2, 1), height=96, width=120):
    """A window over a large texture that moves by whole pixels: whatever is in it moves by minus the step."""
    wide = texture(height + 60, width + 60)
    return np.stack(
        [wide[t * step[1] : t * step[1] + height, t * step[0] : t * step[0] + width] for t in range(frames)]
    )


class TestTrackers:
    @pytest.fixture(params=TRACKERS)
    def tracker(self, request):
        if request.param != "torch":
            pytest.importorskip("cv2")
        return choose_tracker(request.param)

    @pytest.mark.parametrize("start", [0, 3, 5])
    def test_a_moving_picture_is_followed_both_ways(self, tracker, start):
        frames, points = moving(), grid_points(6, 96, 120)[7:29]
        tracks = tracker(frames, points, start)
        inner = (np.abs(points - [60, 48]) < [35, 25]).all(1)
        wanted = points[None] - (np.arange(6)[:, None, None] - start) * np.float32([2, 1])
        assert tracks.path.shape == (6, len(points), 2) and tracks.seen[:, inner].mean() > 0.95
        error = np.linalg.norm(tracks.path - wanted, axis=-1)
        assert error[tracks.seen & inner].max() < 0.5

    def test_what_is_covered_is_lost_and_stays_lost(self, tracker):
        frames = np.repeat(texture(96, 120)[None], 6, 0).copy()
        frames[3:, 30:70, 40:80] = texture(40, 40, seed=9)
        tracks = tracker(frames, np.float32([[60, 50], [15, 15]]), 0)
        assert tracks.seen[:3].all() and not tracks.seen[3:, 0].any() and tracks.seen[:, 1].all()

    def test_what_leaves_the_picture_is_lost(self, tracker):
        tracks = tracker(moving(step=(8, 0)), np.float32([[20, 48], [100, 48]]), 0)
        assert not tracks.seen[-1, 0] and tracks.seen[-1, 1]

    def test_nothing_is_followed_where_no_point_is_left(self, tracker):
        tracks = tracker(moving(frames=3), np.float32([[-5, 4]]), 0)
        assert not tracks.seen.any() and np.isfinite(tracks.path).all()

    def test_it_can_be_cancelled(self, tracker):
        with pytest.raises(Cancelled):
            tracker(moving(), grid_points(3, 96, 120), 0, lambda: True)

    def test_a_flat_picture_gives_no_lasting_nonsense(self, tracker):
        tracks = tracker(np.full((3, 96, 96, 3), 128, np.uint8), grid_points(3, 96, 96), 0)
        still = np.abs(tracks.path - tracks.path[:1]).max(-1) < 0.1
        assert (still | ~tracks.seen).all()

    def test_an_unknown_one_is_told(self):
        with pytest.raises(EX4DError, match="Unknown tracker 'raft'; choose one of: auto, lk, dis, torch"):
            choose_tracker("raft")

    def test_without_opencv_auto_is_torch_and_the_others_say_what_is_missing(self, monkeypatch):
        import importlib.util

        monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None)
        assert choose_tracker("auto").args[0].__module__.endswith("torch_lk")
        with pytest.raises(EX4DError, match=r'The tracker dis needs OpenCV, which is not installed.*extra "tracking"'):
            choose_tracker("dis")


class TestTracksFiles:
    def test_a_point_takes_the_track_that_is_nearest_to_it(self, tmp_path):
        path = np.float32([[[10, 10], [50, 50]], [[12, 10], [50, 54]], [[14, 10], [50, 58]]])
        seen = np.array([[True, True], [True, True], [True, False]])
        save_tracks(tmp_path / "tracks.npz", Tracks(path, seen))
        file = TracksFile(load_tracks(tmp_path / "tracks.npz"))
        tracks = file(np.zeros((3, 64, 64, 3), np.uint8), np.float32([[11, 12], [49, 50]]), 1)
        assert tracks.path[:, 0].tolist() == [[9, 12], [11, 12], [13, 12]]
        assert tracks.path[:, 1].tolist() == [[49, 46], [49, 50], [49, 54]]
        assert tracks.seen[:, 1].tolist() == [True, True, False]

    def test_tracks_that_are_not_seen_in_the_start_frame_are_nobodys(self):
        file = TracksFile(Tracks(np.zeros((2, 1, 2), np.float32), np.array([[True], [False]])))
        assert not file(np.zeros((2, 8, 8, 3), np.uint8), np.float32([[1, 1]]), 1).seen.any()

    def test_what_is_no_tracks_file_is_told(self, tmp_path):
        np.savez(tmp_path / "other.npz", depth=np.zeros(3))
        for path in (tmp_path / "other.npz", tmp_path / "missing.npz"):
            with pytest.raises(EX4DError, match=r"cannot be read as tracks: an \.npz with track_path"):
                load_tracks(path)

    def test_shapes_and_lengths_that_do_not_fit_are_told(self):
        with pytest.raises(EX4DError, match=r"visibility of .frames, points., got \(2, 3, 2\) and \(3, 2\)"):
            Tracks(np.zeros((2, 3, 2)), np.zeros((3, 2), bool))
        file = TracksFile(Tracks(np.zeros((2, 1, 2), np.float32), np.ones((2, 1), bool)))
        with pytest.raises(EX4DError, match="tracks are of 2 frames, but the clip has 5"):
            file(np.zeros((5, 8, 8, 3), np.uint8), np.zeros((1, 2), np.float32), 0)


class TestRenderingMasks:
    def test_they_are_what_render_gives_on_the_same_path(self, mesh):
        angles = np.array([-80.0, -40, 0, 40, 80])
        _, wanted, _ = render_color_mask(mesh, orbit(angles, mesh.radius), keep_first_frame=False, out_dtype="uint8")
        assert torch.equal(rendering_mask(mesh, angles, dilation="off"), wanted > 0)

    def test_the_source_view_is_complete_and_holes_grow_with_the_angle(self, mesh):
        seen = rendering_mask(mesh, np.array([0.0, 10, 30, 60, 90]), dilation="off").float().mean((1, 2))
        assert float(seen[0]) == 1
        assert all(a > b for a, b in itertools.pairwise(seen))

    def test_both_readings_of_the_dilation(self):
        seen = torch.ones(1, 20, 20, dtype=torch.bool)
        seen[0, 4, 4] = False
        seen[0, 10:18, 10:18] = False
        closed, grown = dilated(seen, "seen", 5), dilated(seen, "holes", 5)
        assert closed[0, 4, 4] and not closed[0, 12:16, 12:16].any() and closed[0, 10, 10]
        assert not grown[0, 2:7, 2:7].any() and not grown[0, 8:, 8:].any() and grown[0, 9, 3]
        assert dilated(seen, "off", 5) is seen

    def test_sweeps_go_where_they_say(self):
        draws = stream(0, 0, "mask")
        assert draw_angles(3, "published", 90, draws).tolist() == [-90, 0, 90]
        ends = np.array([draw_angles(3, "from_source", 90, stream(0, n, "mask")) for n in range(300)])
        assert (ends[:, 0] == 0).all() and np.abs(ends[:, -1]).max() <= 90
        assert ends[:, -1].min() < -80 and ends[:, -1].max() > 80
        uniform = draw_angles(400, "uniform", 90, draws)
        assert abs(uniform.mean()) < 10 and uniform.min() < -80 and np.abs(np.diff(uniform)).mean() > 30
        kinds = {float(draw_angles(3, "mixed", 90, stream(0, n, "mask"))[0]) for n in range(30)}
        assert kinds == {-90.0, 0.0}
        assert draw_angles(1, "published", 90, draws).shape == (1,)

    def test_without_hidden_faces_more_is_seen_than_the_mesh_shows(self, mesh):
        """A mesh without them has no back plate and no curtains: whatever stood behind shines through."""
        angles = np.array([0.0, 20, 40, 60, 80])
        seen, watertight = visible_mask(mesh, angles), rendering_mask(mesh, angles, dilation="off")
        both = (seen & watertight).sum((1, 2)) / watertight.sum((1, 2))
        assert float(both[1:].min()) > 0.99  # what the closed mesh shows is there too
        assert (seen.sum((1, 2))[1:] > 1.02 * watertight.sum((1, 2))[1:]).all()
        assert not seen[4].all()

    def test_a_plane_seen_from_the_front_is_covered(self):
        flat = build_dw_mesh(torch.zeros(1, 32, 32, 3), torch.full((1, 32, 32), 4.0), style="paper")
        seen = visible_mask(flat, np.array([0.0]))
        assert seen[0, 2:-2, 2:-2].all()

    def test_they_can_be_cancelled(self, mesh):
        for make in (rendering_mask, visible_mask):
            with pytest.raises(Cancelled):
                make(mesh, np.zeros(FRAMES), cancel=lambda: True)


class TestBlocks:
    def test_blocks_lie_around_their_points_while_they_are_seen(self):
        path = np.float32([[[10, 10], [30, 5]], [[12, 10], [31, 5]]])
        seen = hide_blocks(path, np.array([[True, True], [True, False]]), np.float32([[4, 6], [2, 2]]), (20, 40))
        assert not seen[0, 7:13, 8:12].any() and int((~seen[0]).sum()) == 24 + 4
        assert not seen[1, 7:13, 10:14].any() and int((~seen[1]).sum()) == 24

    def test_blocks_outside_hide_nothing_and_small_ones_a_pixel(self):
        path = np.float32([[[-50, -50], [5.5, 5.5], [39.9, 19.9]]])
        seen = hide_blocks(path, np.ones((1, 3), bool), np.float32([[4, 4], [0.1, 0.1], [4, 4]]), (20, 40))
        assert not seen[0, 5, 5] and seen[0, 0, 0] and not seen[0, 19, 39]
        assert int((~seen).sum()) == 1 + 4

    def test_hidden_points_come_in_groups_of_the_asked_share(self):
        points = grid_points(30, 64, 64)
        near = []
        for sample in range(40):
            hidden = draw_hidden(points, MaskSettings(hidden_share=(0.3, 0.3)), stream(0, sample, "mask"))
            assert 0.25 * 900 <= len(hidden) <= 0.31 * 900 and len(set(hidden.tolist())) == len(hidden)
            rows = np.zeros((30, 30), bool)
            rows.flat[hidden] = True
            near.append((rows[:, 1:] & rows[:, :-1]).sum() / rows.sum())
        assert np.mean(near) > 0.8  # of random points it would be 0.3

    def test_a_hole_moves_with_what_it_hides(self):
        frames = torch.from_numpy(moving(frames=4, step=(4, 0)))
        tracker = choose_tracker("torch")
        settings = MaskSettings(kind="tracking", grid=(6, 6), hidden_share=(0.1, 0.1))
        mask = simulate_mask(frames, settings, seed=3, sample=0, tracker=tracker)
        middle = mask.seen[:, 20:-20, 30:-30]
        moved = torch.roll(middle[0], -4, dims=1)
        assert 0.02 < mask.holes < 0.4 and mask.grid == 6
        assert float((moved == middle[1])[:, 5:-5].float().mean()) > 0.97
        assert not torch.equal(middle[0], middle[1])


class TestSimulation:
    @pytest.mark.parametrize("kind", MASK_KINDS)
    def test_every_kind_makes_holes_and_repeats_itself(self, clip, mesh, kind):
        given = {"mesh": mesh, "tracker": choose_tracker("torch"), "seed": 5}
        settings = MaskSettings(kind=kind, grid=(8, 8))
        mask = simulate_mask(clip[0], settings, sample=2, **given)
        assert mask.seen.shape == (FRAMES, SIZE, SIZE) and mask.seen.dtype == torch.bool
        assert 0.01 < mask.holes < 0.95 and f"{mask.holes:.0%}" in mask.summary()
        assert kind in ("mixed", mask.kind)
        simulate_mask(clip[0], settings, sample=1, **given)
        assert torch.equal(simulate_mask(clip[0], settings, sample=2, **given).seen, mask.seen)
        assert not torch.equal(simulate_mask(clip[0], settings, sample=3, **given).seen, mask.seen)

    def test_both_is_the_intersection_of_its_parts(self, clip, mesh):
        given = {"mesh": mesh, "tracker": choose_tracker("torch"), "seed": 5, "sample": 0}
        part = {
            kind: simulate_mask(clip[0], MaskSettings(kind=kind, grid=(8, 8)), **given)
            for kind in ("both", "rendering")
        }
        assert part["both"].angles is not None
        assert np.array_equal(part["both"].angles, part["rendering"].angles)
        assert not (part["both"].seen & ~part["rendering"].seen).any()
        assert part["both"].holes > part["rendering"].holes

    def test_kinds_are_drawn_by_their_shares(self, clip, mesh):
        def never(frames, points, start, cancel=None):
            return Tracks(
                np.zeros((len(frames), len(points), 2), np.float32), np.zeros((len(frames), len(points)), bool)
            )

        def kinds(count, **shares):
            settings = MaskSettings(grid=(2, 2), sweep="from_source", **shares)
            small = build_dw_mesh(clip[0][:1, ::8, ::8], clip[1][:1, ::8, ::8], style="paper")
            frames = clip[0][:1, ::8, ::8]
            return [
                simulate_mask(frames, settings, seed=1, sample=n, mesh=small, tracker=never).kind for n in range(count)
            ]

        drawn = kinds(200)
        assert {kind: drawn.count(kind) / 200 for kind in set(drawn)} == pytest.approx(
            {"rendering": 0.5, "tracking": 0.4, "both": 0.1}, abs=0.09
        )
        assert set(kinds(20, rendering_share=0, both_share=0)) == {"tracking"}
        assert set(kinds(20, tracking_share=0, both_share=0)) == {"rendering"}

    def test_a_random_mask_follows_nothing(self, clip):
        mask = simulate_mask(clip[0], MaskSettings(kind="random", grid=(6, 6)), seed=0, sample=0)
        same = [float((mask.seen[t] == mask.seen[t + 1]).float().mean()) for t in range(FRAMES - 1)]
        assert max(same) < 0.9

    @pytest.mark.parametrize("kind", MASK_KINDS)
    def test_what_a_kind_needs_is_asked_for(self, clip, mesh, kind):
        settings = MaskSettings(kind=kind)
        if needs_mesh(kind):
            with pytest.raises(
                EX4DError, match=f"of the kind {kind} are rendered from the clip's mesh, and there is none"
            ):
                simulate_mask(clip[0], settings, seed=0, sample=0, tracker=choose_tracker("torch"))
            with pytest.raises(EX4DError, match="mesh has 5 frames of 64x64, the clip 4 of 64x64"):
                simulate_mask(clip[0][:4], settings, seed=0, sample=0, mesh=mesh)
        if needs_tracker(kind):
            with pytest.raises(EX4DError, match=f"of the kind {kind} follow tracked points"):
                simulate_mask(clip[0], settings, seed=0, sample=0, mesh=mesh)

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"kind": "rendered"}, "kind must be one of mixed, rendering, .* got 'rendered'"),
            ({"sweep": "left"}, f"sweep must be one of {', '.join(SWEEPS)}"),
            ({"dilation": "both"}, "dilation must be one of seen, holes, off"),
            ({"rendering_share": -1.0}, "must not be negative"),
            ({"rendering_share": 0.0, "tracking_share": 0.0, "both_share": 0.0}, "one must be positive"),
            ({"angle": 0.0}, "between 0 and 180 degrees, got 0"),
            ({"kernel": 0}, "at least 1 pixel wide"),
            ({"grid": (20, 10)}, "grid must be two rising numbers of 2 to 200, got 20 and 10"),
            ({"hidden_share": (0.5, 1.5)}, "hidden_share must be two rising numbers of 0 to 1"),
        ],
    )
    def test_settings_that_cannot_be_are_told(self, wrong, message):
        with pytest.raises(EX4DError, match=message):
            MaskSettings(**wrong)


class TestCrops:
    @pytest.fixture(scope="class")
    def windows(self):
        return [draw_crop(49, stream(0, sample, "crop")) for sample in range(50)]

    def test_windows_stay_inside_and_within_their_share(self, windows):
        edges = np.stack([window.edges() for window in windows])
        assert edges.min() >= -1e-9 and edges.max() <= 1 + 1e-9
        scales = np.concatenate([window.scale for window in windows])
        assert scales.min() >= SCALE[0] and scales.max() <= SCALE[1] and scales.max() - scales.min() > 0.08

    def test_they_move_smoothly_and_do_move(self, windows):
        for window in windows:
            way = np.concatenate([window.middle, window.scale[:, None]], axis=1)
            assert np.abs(np.diff(way, axis=0)).max() < 0.02
            assert np.abs(np.diff(way, n=2, axis=0)).max() < 0.002
        assert np.mean([np.ptp(window.middle, axis=0).max() for window in windows]) > 0.03

    def test_frames_and_masks_are_cut_alike(self, windows):
        seen = torch.ones(3, 64, 64, dtype=torch.bool)
        seen[:, 20:40, 24:44] = False
        window = draw_crop(3, stream(0, 0, "crop"))
        white = torch.where(seen, 255, 0).to(torch.uint8)[..., None].expand(-1, -1, -1, 3)
        cut, mask = crop_frames(white, window), crop_mask(seen, window)
        assert float(((cut[..., 0] > 127) == mask).float().mean()) > 0.99
        assert cut.shape == white.shape
        larger = (~mask).sum() / (~seen).sum()
        assert float(larger) == pytest.approx(1 / float((window.scale**2).mean()), rel=0.1)

    def test_a_window_over_the_whole_picture_changes_nothing(self):
        frames = torch.from_numpy(texture(32, 48)[None])
        whole = CropWindow(np.array([[0.5, 0.5]]), np.array([1.0]))
        assert torch.equal(crop_frames(frames, whole), frames)


class TestGrading:
    """Four points of three frames, given in the first one; a picture of 256 pixels a side."""

    def tracks(self, path, seen):
        return Tracks(np.array(path, np.float32), np.array(seen))

    def test_exact_tracks_are_perfect(self):
        truth = self.tracks([[[1, 1], [5, 5]]] * 3, [[True, True], [True, False], [True, True]])
        found = grade(truth, truth, (256, 256), 0)
        assert (found.delta_avg, found.occlusion_accuracy, found.average_jaccard) == (1, 1, 1)

    def test_each_measure_counts_what_it_says(self):
        truth = self.tracks([[[10, 10], [90, 90]]] * 2, [[True, True], [True, False]])
        found = self.tracks([[[10, 10], [90, 90]], [[13, 10], [90, 90]]], [[True, True], [True, True]])
        grades = grade(found, truth, (256, 256), 0)
        assert grades.delta_avg == pytest.approx(3 / 5)  # 3 pixels off: within 4, 8 and 16
        assert grades.occlusion_accuracy == pytest.approx(1 / 2)
        # Within 4 and more: 1 hit, 1 visible, 1 claimed where nothing is; below: no hit at all.
        assert grades.average_jaccard == pytest.approx(3 / 5 / 2)

    def test_distances_are_those_at_256_pixels(self):
        truth = self.tracks([[[10, 10]]] * 2, [[True], [True]])
        found = self.tracks([[[10, 10]], [[16, 10]]], [[True], [True]])
        assert grade(found, truth, (512, 512), 0).delta_avg == grade(found, truth, (256, 512), 0).delta_avg == 3 / 5

    def test_what_is_missed_lowers_the_jaccard_index(self):
        truth = self.tracks([[[10, 10]]] * 3, [[True]] * 3)
        found = self.tracks([[[10, 10]]] * 3, [[True], [True], [False]])
        grades = grade(found, truth, (256, 256), 0)
        assert (grades.delta_avg, grades.occlusion_accuracy, grades.average_jaccard) == (1, 0.5, 0.5)
