"""The main job: a video and its depth in, colour and mask videos, cameras, mesh and frames out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from media import numbered, write_clip

from ex4d_core.commands import cli
from ex4d_core.trajectory import Trajectory
from ex4d_core.video import clip_sound, load_video, probe_video

FRAMES, WIDTH, HEIGHT = 9, 64, 48


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A near square before a far wall, with sound."""
    folder = tmp_path_factory.mktemp("scene")
    write_clip(folder / "video.mp4", [numbered(i) for i in range(FRAMES)], sound=0.3)
    depth = np.full((FRAMES, HEIGHT, WIDTH), 8, np.float32)
    depth[:, 12:36, 16:48] = 4
    depth += np.linspace(0, 0.2, WIDTH, dtype=np.float32)
    np.savez(folder / "depth.npz", depth=depth)
    return folder


def recon(scene, out, *words):
    base = ["--input_video", scene / "video.mp4", "--depth", scene / "depth.npz", "--output_dir", out]
    base += ["--num_frames", FRAMES, "--size", f"{WIDTH}x{HEIGHT}"]
    assert cli.main(["recon", *map(str, [*base, *words])]) == 0


@pytest.fixture(scope="module")
def results(scene, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    cameras = ["30", "zoom_in", "orbit:angle=-60"]
    recon(scene, out, "--cam", *cameras, "--save_mesh", "--save_camera", "--save_frames", "--save_depth")
    return out


def test_every_file_is_there_and_nothing_else(results):
    names = [f"{kind}_{cam}" for cam in ("30", "zoom_in", "orbit_angle-60") for kind in ("color", "mask")]
    expected = {f"{name}.mp4" for name in names} | {"DW-Mesh.ply", "depth.npz"}
    expected |= {f"{kind}_{cam}.npz" for cam in ("30", "zoom_in", "orbit_angle-60") for kind in ("camera", "frames")}
    assert {p.name for p in results.iterdir()} == expected


def test_the_names_checked_before_work_are_those_written(results):
    from ex4d_core.commands.recon_job import CameraPath, Outputs

    cameras = tuple(CameraPath(name, name, {}, None, "auto", 1.5) for name in ("30", "zoom_in", "orbit_angle-60"))
    outputs = Outputs(results, mesh=True, cameras=True, frames=True, depth=True, crf=12)
    assert sorted(outputs.names(cameras)) == sorted(p.name for p in results.iterdir())


def test_videos_have_the_clip_s_size_rate_and_sound(results):
    for name, sound in (("color_30.mp4", True), ("mask_30.mp4", False)):
        info = probe_video(results / name)
        assert (info.size, info.fps, info.frames, info.has_audio) == ((WIDTH, HEIGHT), 30, FRAMES, sound)


def test_sound_is_bent_with_time_only_where_that_is_asked_for(scene, tmp_path, capsys):
    """Fifteen frames of nine: four, six on the frozen one, and the rest."""
    heard = {}
    for bent in ("none", "cut", "stretch"):
        camera = ("--cam", "bullet_time:freeze=4,hold=6,angle=10")
        recon(scene, tmp_path / bent, *camera, *(() if bent == "none" else ("--bent_sound", bent)))
        told = "bends time, so its video has no sound" in capsys.readouterr().err
        (film,) = (tmp_path / bent).glob("color_*.mp4")
        info = probe_video(film)
        assert info.frames == 15 and told == (bent == "none") == (not info.has_audio)
        if info.has_audio:
            samples, rate = clip_sound(str(film), 0, 0.5)
            at = [round(frame / 30 * rate) for frame in (1, 3, 6, 9, 11, 13)]
            heard[bent] = [float(np.abs(samples[:, a:b]).max()) for a, b in zip(at[::2], at[1::2], strict=True)]
    assert min(heard["cut"][:2]) > 0.1 and heard["cut"][2] < 0.02, "the clip's sound ends after nine frames"
    assert heard["stretch"][0] > 0.1 and heard["stretch"][1] < 0.02 and heard["stretch"][2] > 0.1


def test_frames_are_lossless_and_the_videos_show_them(scene, results):
    frames = np.load(results / "frames_30.npz")
    color, mask = frames["color"], frames["mask"]
    assert color.shape == (FRAMES, HEIGHT, WIDTH, 3) and mask.shape == color.shape[:3]
    assert color.dtype == mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 255}
    assert (color[mask == 0] == 0).all()
    assert np.array_equal(color[0], load_video(scene / "video.mp4", count=1).frames[0].numpy())
    assert (mask[0] == 255).all() and 0.2 < (mask[-1] == 0).mean() < 0.9
    shown = load_video(results / "mask_30.mp4").frames[..., 0].numpy() > 127
    assert (shown == (mask == 255)).mean() > 0.995
    assert np.abs(load_video(results / "color_30.mp4").frames.numpy().astype(int) - color).mean() < 3


def test_holes_for_other_models(scene, results, tmp_path, capsys):
    """Magenta, two pixels larger than the black ones, and a mask that falls to them."""
    words = ["--cam", "30", "--save_frames", "--hole_color", "magenta", "--grow_holes", 2, "--feather", 1]
    recon(scene, tmp_path, *words)
    black, frames = np.load(results / "frames_30.npz"), np.load(tmp_path / "frames_30.npz")
    hole = frames["mask"] == 0
    grown = torch.nn.functional.max_pool2d(torch.from_numpy((black["mask"] == 0).astype(np.float32)), 5, 1, 2)
    assert np.array_equal(hole, grown.numpy() == 1)
    assert (frames["color"][hole] == (255, 0, 255)).all()
    assert set(np.unique(frames["mask"])) == {0, 128, 255}
    with pytest.raises(AssertionError):
        recon(scene, tmp_path / "none", "--cam", "30", "--hole_color", "pink")
    assert "#rrggbb" in capsys.readouterr().err


def test_what_other_frames_saw_fills_holes_and_has_a_video_of_its_own(scene, results, tmp_path):
    recon(scene, tmp_path, "--cam", "30", "--save_frames", "--memory", "loose", "--memory_frames", 3)
    plain, frames = np.load(results / "frames_30.npz"), np.load(tmp_path / "frames_30.npz")
    new = (frames["mask"] > 0) & (plain["mask"] == 0)
    assert not ((frames["mask"] == 0) & (plain["mask"] > 0)).any()
    told = load_video(tmp_path / "memory_30.mp4").frames[..., 0].numpy() > 127
    assert told.shape == new.shape and (told == new).mean() > 0.995


def test_the_camera_file_is_the_path_that_was_rendered(results):
    saved = Trajectory.load(results / "camera_30.npz")
    radius = 4 + 0.2 * 16 / (WIDTH - 1) + 0.15  # nearest depth plus the published margin
    expected = Trajectory.preset("30", frames=FRAMES, radius=radius)
    assert np.abs(saved.world_to_camera - expected.world_to_camera).max() < 1e-3
    assert saved.intrinsics is not None and saved.intrinsics[0].fx == pytest.approx(500 * WIDTH / 512)


def test_rendering_in_chunks_is_rendering_at_once(scene, results, tmp_path, monkeypatch):
    from ex4d_core.commands import recon as command

    monkeypatch.setattr(command, "CHUNK_FRAMES", 4)
    recon(scene, tmp_path, "--cam", "30", "--save_frames")
    for name in ("color", "mask"):
        whole, chunked = (np.load(folder / "frames_30.npz")[name] for folder in (results, tmp_path))
        assert np.array_equal(whole, chunked)


def test_every_chunk_is_cut_at_the_same_depths(scene, tmp_path, monkeypatch):
    from ex4d_core import render
    from ex4d_core.commands import recon as command

    depth = np.load(scene / "depth.npz")["depth"]
    depth[-1, 24, 32] = 2e-3  # nearer than the published range allows, in the last chunk alone
    np.savez(tmp_path / "depth.npz", depth=depth)
    whole, ranges = render.render_color_mask, []

    def watched(*arguments, near=None, far=None, **options):
        ranges.append((near, far))
        return whole(*arguments, near=near, far=far, **options)

    monkeypatch.setattr(render, "render_color_mask", watched)
    monkeypatch.setattr(command, "CHUNK_FRAMES", 4)
    recon(scene, tmp_path / "out", "--cam", "30", "--depth", tmp_path / "depth.npz")
    assert ranges == [pytest.approx((4e-4, 1e3))] * 3


def test_the_mesh_is_a_readable_ply(results):
    data = (results / "DW-Mesh.ply").read_bytes()
    head, body = data.split(b"end_header\n", 1)
    vertices, faces = WIDTH * HEIGHT, 2 * (WIDTH - 1) * (HEIGHT - 1) + 2
    assert f"element vertex {vertices}\n".encode() in head and f"element face {faces}\n".encode() in head
    assert head.startswith(b"ply\nformat binary_little_endian 1.0\n")
    assert len(body) == vertices * 15 + faces * 13
    vertex = np.frombuffer(body, np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)]), vertices)
    face = np.frombuffer(body, np.dtype([("n", "u1"), ("v", "<i4", 3)]), faces, vertices * 15)
    assert (face["n"] == 3).all() and face["v"].min() == 0 and face["v"].max() == vertices - 1
    depth = vertex["xyz"][:, 2].reshape(HEIGHT, WIDTH)
    assert depth[20, 30] == pytest.approx(4 + 0.2 * 30 / 63, abs=1e-4) and depth[0].min() > 8


def test_saved_depth_can_be_used_again(scene, results, tmp_path):
    saved = np.load(results / "depth.npz")["depth"]
    assert np.array_equal(saved, np.load(scene / "depth.npz")["depth"])


def test_a_camera_file_gives_the_same_shot(scene, results, tmp_path):
    recon(scene, tmp_path, "--camera", results / "camera_30.npz", "--save_frames")
    again = np.load(tmp_path / "frames_camera_30.npz")
    first = np.load(results / "frames_30.npz")
    assert (again["mask"] == first["mask"]).mean() > 0.999


def test_one_mesh_serves_a_whole_path(scene, tmp_path):
    recon(scene, tmp_path, "--cam", "30", "--only_first_frame", "1", "--save_frames")
    frames = np.load(tmp_path / "frames_30.npz")
    color, mask = frames["color"], frames["mask"]
    # Grey tells the frame's number (20 in the first, 84 in the last), the camera's way shows in the holes.
    assert len(color) == FRAMES
    assert [round(float(np.median(c[(m > 0) & (c[..., 0] < 160)]))) for c, m in zip(color, mask)] == [20] * FRAMES
    assert (mask[0] > 0).all() and 0.2 < (mask[-1] == 0).mean() < 0.9


def test_depth_from_disparity_keeps_the_published_plate_when_it_is_cropped(scene, tmp_path, monkeypatch):
    import ex4d_core.mesh

    disparity = np.full((FRAMES, HEIGHT, WIDTH), 0.05, np.float32)
    disparity[:, :, 20:40] = 0.1
    disparity[:, 0, 0], disparity[:, 0, -1] = 0, 1  # cut away with the left and right edge
    np.savez(tmp_path / "disparity.npz", disparity=disparity)
    plates, real = [], ex4d_core.mesh.build_dw_mesh

    def build(*args, **keywords):
        plates.append((mesh := real(*args, **keywords)).border_depth)
        return mesh

    monkeypatch.setattr(ex4d_core.mesh, "build_dw_mesh", build)
    words = ["--cam", "static", "--depth", tmp_path / "disparity.npz", "--size", "48x48", "--num_frames", "1"]
    recon(scene, tmp_path / "a", *words)
    recon(scene, tmp_path / "b", *words, "--border_depth", "50")
    assert plates == [100, 50]


def test_lengths_that_the_sampler_does_not_take_are_mentioned(scene, tmp_path, capfd):
    recon(scene, tmp_path, "--cam", "static", "--num_frames", "6")
    assert "6 frames is not 4n+1" in capfd.readouterr().err


def test_dashes_and_underscores_are_one(scene, tmp_path):
    recon(scene, tmp_path, "--cam", "static", "--num-frames=5")
    assert probe_video(tmp_path / "color_static.mp4").frames == 5


def test_the_recorded_clip_renders_along_a_published_path(large_reference, tmp_path):
    flower = large_reference / "flower"
    words = ["--input_video", flower / "input.mp4", "--depth", flower / "disparity.npz", "--cam", "180"]
    words += ["--output_dir", tmp_path, "--save_camera"]
    assert cli.main(["recon", *map(str, words)]) == 0
    color, mask = load_video(tmp_path / "color_180.mp4"), load_video(tmp_path / "mask_180.mp4")
    assert color.frames.shape == mask.frames.shape == (49, 512, 512, 3) and color.fps == 30
    source = load_video(flower / "input.mp4", count=1).frames[0].float()
    assert (color.frames[0].float() - source).abs().mean() < 1.5 and mask.frames[0].min() > 250
    # The recorded depth is another than the published run's, so the path agrees up to its radius only.
    ours, theirs = np.load(tmp_path / "camera_180.npz"), np.load(flower / "camera_180.npz")
    assert np.array_equal(ours["intrinsics"], theirs["intrinsics"])
    assert np.abs(ours["extrinsics"][:, :3, :3] - theirs["extrinsics"][:, :3, :3]).max() < 1e-4
    scale = ours["extrinsics"][1:-1, 2, 3] / theirs["extrinsics"][1:-1, 2, 3]
    assert scale.std() < 1e-4 and abs(scale.mean() - 1) < 0.02


def test_without_depth_depthcrafter_estimates_it(scene, reference, tmp_path, capfd):
    pytest.importorskip("diffusers")
    models = reference / "depthcrafter"
    words = ["--input_video", scene / "video.mp4", "--output_dir", tmp_path, "--num_frames", "5", "--size", "64x64"]
    words += ["--cam", "30", "--depth_model", models / "depthcrafter_unet_tiny", "--depth_base", models / "svd_tiny"]
    assert cli.main(["recon", *map(str, words), "--device", "cpu", "--save_depth"]) == 0
    depth = np.load(tmp_path / "depth.npz")["depth"]
    assert depth.shape == (5, 64, 64) and depth.min() == pytest.approx(10000 / 3900)
    assert "non-commercial" in capfd.readouterr().err


def test_asking_for_help_loads_nothing_heavy():
    program = (
        "import sys\n"
        "from ex4d_core.commands.cli import main\n"
        "main(['--help'])\n"
        "heavy = {'torch', 'av', 'numba', 'cv2', 'diffusers'} & set(sys.modules)\n"
        "main(['recon', '--help'])  # names the core's choices, which lie beside code that needs torch\n"
        "heavy |= {'av', 'numba', 'cv2', 'diffusers'} & set(sys.modules)\n"
        "sys.exit(f'{heavy}' if heavy else 0)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
