"""Whatever is wrong with the input: exit code 2, one clear message, nothing written."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from media import numbered, write_clip, write_png16, write_sound

from ex4d_core.commands import cli

ROOT = Path(__file__).resolve().parents[2]
FRAMES, WIDTH, HEIGHT = 5, 64, 48


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("input")


@pytest.fixture(scope="module")
def video(folder):
    return write_clip(folder / "video.mp4", [numbered(i) for i in range(FRAMES)])


def ramp(frames=FRAMES, height=HEIGHT, width=WIDTH):
    """A tilted plane: plausible depth."""
    return np.broadcast_to(np.linspace(2, 8, height, dtype=np.float32)[:, None], (frames, height, width)).copy()


@pytest.fixture(scope="module")
def depth(folder):
    np.savez(folder / "depth.npz", depth=ramp())
    return folder / "depth.npz"


@pytest.fixture()
def recon(tmp_path, video, depth, capfd):
    """Runs recon with good input except for what is given, and returns its error message."""

    def run(expected=cli.BAD_INPUT, **changes):
        flags = {
            "input_video": video,
            "depth": depth,
            "cam": "30",
            "output_dir": tmp_path / "out",
            "num_frames": FRAMES,
            "size": f"{WIDTH}x{HEIGHT}",
            **changes,
        }
        words = [w for name, value in flags.items() if value is not None for w in (f"--{name}", *str(value).split("|"))]
        code = cli.main(["recon", *words])
        text = capfd.readouterr().err
        assert code == expected, text
        if expected != cli.BAD_INPUT:
            return text
        assert "Traceback" not in text
        assert not (tmp_path / "out").exists(), list((tmp_path / "out").rglob("*"))
        errors = [line for line in text.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and text.rstrip().splitlines()[-1] == errors[0]
        if "huggingface.co" not in text:  # a list of addresses may be longer
            assert len(errors[0]) < 420 and errors[0].endswith((".", "?"))
        return errors[0]

    return run


def test_good_input_works(recon, tmp_path):
    recon(expected=0)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["color_30.mp4", "mask_30.mp4"]


# -- the video ---------------------------------------------------------------------------------------------------


def test_no_such_video(recon):
    assert "no file" in recon(input_video="/nowhere/clip.mp4")


def test_text_renamed(recon, folder):
    path = folder / "text.mp4"
    path.write_text("this is not a video\n" * 100)
    assert "not a video" in recon(input_video=path)


def test_empty_file(recon, folder):
    path = folder / "empty.mp4"
    path.write_bytes(b"")
    assert "not a video" in recon(input_video=path)


def test_sound_only(recon, folder):
    assert "sound only" in recon(input_video=write_sound(folder / "sound.mp4"))


def test_sound_with_a_cover_picture(recon, folder):
    path = folder / "song.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        sound, cover = container.add_stream("aac", rate=48000), container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic.value
        container.mux(cover.encode(av.VideoFrame.from_ndarray(numbered(0, 64, 64)).reformat(format="yuvj420p")))
        container.mux(cover.encode(None))
        for begin in range(0, 9 * 1024, 1024):
            tone = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            tone.sample_rate, tone.pts = 48000, begin
            container.mux(sound.encode(tone))
        container.mux(sound.encode(None))
    assert "sound only" in recon(input_video=path)


def test_no_frames_in_the_track(recon, folder):
    path = write_clip(folder / "one.mkv", [numbered(0)])
    with av.open(str(path)) as container:
        at = next(p for p in container.demux(video=0) if p.size).pos
    path.write_bytes(path.read_bytes()[:at])
    assert "no video frame" in recon(input_video=path)


def test_truncated_before_the_index(recon, folder, video):
    path = folder / "half.mp4"
    path.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    assert "not a video" in recon(input_video=path)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("share", [0.5, 0.85])
def test_truncated_in_the_pictures(recon, folder, suffix, share):
    noise = np.random.default_rng(0).integers(0, 256, (30, HEIGHT, WIDTH, 3)).astype(np.uint8)
    path = folder / f"cut.{suffix}"
    write_clip(path, noise, faststart=suffix == "mp4")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    np.savez(folder / "depth30.npz", depth=ramp(30))
    message = recon(input_video=path, depth=folder / "depth30.npz", num_frames=30)
    assert "cut off" in message or "frames at" in message
    # What lies before the damage is still good.
    np.savez(folder / "depth9.npz", depth=ramp(9))
    recon(expected=0, input_video=path, depth=folder / "depth9.npz", num_frames=9)


def test_garbage_in_the_middle(recon, folder):
    noise = np.random.default_rng(0).integers(0, 256, (30, HEIGHT, WIDTH, 3)).astype(np.uint8)
    path = write_clip(folder / "garbage.mp4", noise)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = os.urandom(3000)
    path.write_bytes(data)
    np.savez(folder / "depth30.npz", depth=ramp(30))
    assert "damaged" in recon(input_video=path, depth=folder / "depth30.npz", num_frames=30)


def test_a_codec_that_nobody_knows(recon, folder, video):
    path = folder / "unknown.mp4"
    path.write_bytes(video.read_bytes().replace(b"avc1", b"xyz1"))
    assert "Re-export it as H.264" in recon(input_video=path)


def test_one_by_one_pixel(recon, folder):
    path = write_clip(folder / "dot.mkv", [np.zeros((1, 1, 3), np.uint8)] * FRAMES, codec="ffv1", pixels="yuv444p")
    assert "1x1" in recon(input_video=path)


def test_8k_at_its_own_size_is_more_than_the_sampler_takes(recon, folder):
    path = write_clip(folder / "8k.mkv", [np.zeros((4320, 8208, 3), np.uint8)], codec="ffv1", pixels="yuv420p")
    assert "8192" in recon(input_video=path, size="source", num_frames=1)


def test_a_clip_that_the_machine_cannot_hold(recon, monkeypatch):
    memory = pytest.importorskip("psutil")
    least = WIDTH * HEIGHT * FRAMES * 15  # the mesh with rgb and depth, and the pictures rendered: 3 + 4 + 3 + 1 + 4
    for name, there in (("virtual_memory", least - 2), ("swap_memory", 1)):
        monkeypatch.setattr(memory, name, lambda there=there: SimpleNamespace(total=there))
    assert "fewer frames" in recon()
    monkeypatch.setattr(memory, "swap_memory", lambda: SimpleNamespace(total=2))
    recon(expected=0)


def test_too_few_frames(recon):
    message = recon(num_frames=49)
    assert "has 5 frames" in message and "--num_frames 5" in message


def test_start_beyond_the_end(recon):
    assert "--start" in recon(start=50)


def test_an_empty_folder(recon, tmp_path):
    (tmp_path / "pictures").mkdir()
    assert "no pictures" in recon(input_video=tmp_path / "pictures")


def test_a_damaged_picture_in_a_folder(recon, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(FRAMES):
        write_png16(pictures / f"{index}.png", np.full((HEIGHT, WIDTH), 9000))
    (pictures / "3.png").write_bytes(b"not a png")
    assert "3.png" in recon(input_video=pictures)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"frames": np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8)}, "'rgb'"),
        ({"rgb": np.zeros((HEIGHT, WIDTH, 3), np.uint8)}, "shape"),
        ({"rgb": np.zeros((0, HEIGHT, WIDTH, 3), np.uint8)}, "shape"),
        ({"rgb": np.full((FRAMES, HEIGHT, WIDTH, 3), np.nan, np.float32)}, "NaN"),
        ({"rgb": np.array([None, 1], dtype=object)}, "numbers"),
    ],
)
def test_arrays_that_are_no_video(recon, tmp_path, arrays, message):
    np.savez(tmp_path / "clip.npz", **arrays)
    assert message in recon(input_video=tmp_path / "clip.npz")


# -- the depth ---------------------------------------------------------------------------------------------------


def spoiled(value):
    depth = ramp()
    depth[2, 10, 10] = value
    return depth


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"depth": spoiled(np.nan)}, "NaN"),
        ({"depth": spoiled(-np.inf)}, "infinite"),
        ({"disparity": spoiled(np.inf)}, "infinite"),
        ({"depth": spoiled(0)}, "positive"),
        ({"depth": spoiled(-1)}, "positive"),
        ({"depth": np.full((FRAMES, HEIGHT, WIDTH), 3.0)}, "everywhere"),
        ({"disparity": np.full((FRAMES, HEIGHT, WIDTH), 3.0)}, "everywhere"),
        ({"disparity": spoiled(np.nan)}, "NaN"),
        ({"depth": ramp(frames=7)}, "7 depth maps"),
        ({"depth": ramp(frames=2)}, "2 depth maps"),
        ({"depth": ramp(width=HEIGHT, height=WIDTH)}, "not the same picture"),
        ({"depth": ramp()[0]}, "shape"),
        ({"depth": ramp()[:0]}, "shape"),
        ({"rgb": ramp()}, "'depth' or 'disparity'"),
    ],
)
def test_bad_depth(recon, tmp_path, arrays, message):
    np.savez(tmp_path / "depth.npz", **arrays)
    assert message in recon(depth=tmp_path / "depth.npz")


def test_depth_that_is_cut_off(recon, tmp_path, depth):
    (tmp_path / "depth.npz").write_bytes(depth.read_bytes()[:5000])
    assert "cut off" in recon(depth=tmp_path / "depth.npz")


def test_damaged_depth(recon, tmp_path):
    np.savez_compressed(tmp_path / "depth.npz", depth=np.random.default_rng(0).random((FRAMES, HEIGHT, WIDTH)) + 1)
    data = bytearray((tmp_path / "depth.npz").read_bytes())
    data[4000:4100] = bytes(100)
    (tmp_path / "depth.npz").write_bytes(data)
    assert "damaged" in recon(depth=tmp_path / "depth.npz")


def test_no_such_depth(recon):
    assert "no depth file" in recon(depth="/nowhere/depth.npz")


def test_pictures_of_unknown_kind(recon, tmp_path):
    write_png16(tmp_path / "0.png", np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH))
    assert "--depth_kind" in recon(depth=tmp_path)


def test_8_bit_depth_video(recon, video):
    assert "8 bits" in recon(depth=video, depth_kind="disparity")


def test_no_depth_and_no_depthcrafter(recon, tmp_path, monkeypatch):
    pytest.importorskip("diffusers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # read from the environment at its import
    assert "does not exist" in recon(depth=None, depth_model=tmp_path / "no-such-folder")
    assert "offline" in recon(depth=None, models_dir=tmp_path / "models")


def test_an_unknown_depth_kind(recon):
    assert "one of depth, disparity" in recon(depth_kind="inverse")


# -- the camera --------------------------------------------------------------------------------------------------


def path_document(**changes):
    key = {"frame": 0, "position": [0, 0, 0], "target": [0, 0, 3]}
    document = {
        "version": 1,
        "frames": FRAMES,
        "fps": 15,
        "interpolation": "linear",
        "pivot": [0, 0, 3],
        "radius": 3,
        "source": None,
        "keyframes": [key, {**key, "frame": FRAMES - 1, "position": [1, 0, 0]}],
    }
    return {**document, **changes}


def keyframe(**changes):
    document = path_document()
    document["keyframes"][1].update(changes)
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (path_document(version=2), "version"),
        (path_document(keyframes=[]), "keyframe"),
        (keyframe(target=[1, 0, 0]), "Keyframe 1 (frame 4): position and target are the same point"),
        (keyframe(fov=0), "fov"),
        (keyframe(fov=180), "fov"),
        (keyframe(position=[float("nan"), 0, 0]), "position"),
        (keyframe(frame=900), "frame"),
        (path_document(frames=9), "9 frames"),
        ([], "A camera path is a JSON object, got []"),
    ],
)
def test_bad_camera_paths(recon, tmp_path, document, message):
    (tmp_path / "path.json").write_text(json.dumps(document))
    assert message in recon(cam=None, camera=tmp_path / "path.json")


def test_a_good_camera_file_names_its_output(recon, tmp_path):
    (tmp_path / "my shot.json").write_text(json.dumps(path_document()))
    recon(expected=0, cam=None, camera=tmp_path / "my shot.json", num_frames=None)
    assert (tmp_path / "out" / "color_my shot.mp4").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("spin", "preset"),
        ("orbit:angle", "name=value"),
        ("orbit:angel=3", "angel"),
        ("orbit:angle=nan", "angle"),
        ("30|30", "Two camera paths"),
    ],
)
def test_bad_presets(recon, text, message):
    assert message in recon(cam=text)


def test_no_camera(recon):
    assert "--cam" in recon(cam=None)


def test_an_npz_that_is_no_camera(recon, depth):
    assert "no array named extrinsics" in recon(cam=None, camera=depth)


# -- flags and the machine ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": "big"}, "512x512"),
        ({"size": "4x4"}, "16 to 8192"),
        ({"size": "90000x90000"}, "16 to 8192"),
        ({"fit": "squash"}, "crop, pad, stretch"),
        ({"style": "cubist"}, "released, paper"),
        ({"backend": "pencil"}, "numba"),
        ({"device": "cuda:77"}, "cuda:77"),
        ({"device": "toaster"}, "toaster"),
        ({"keep_first_frame": "maybe"}, "auto, yes, no"),
        ({"start": "-1"}, "--start must be 0 or more"),
        ({"start": "soon"}, "--start must be a whole number"),
        ({"crf": "good"}, "--crf must be a number"),
        ({"depth_seed": "luck"}, "--depth_seed"),
        ({"fps": "0"}, "--fps"),
        ({"fps": "nan"}, "--fps"),
        ({"num_frames": "0"}, "--num_frames"),
        ({"focal": "-5"}, "--focal"),
        ({"focal": "nan"}, "--focal"),
        ({"focal": "1e-300"}, "--focal"),
        ({"supersample": "9"}, "--supersample"),
        ({"min_angle": "nan"}, "min_angle"),
        ({"min_angle": "90"}, "below 60"),
        ({"depth_jump": "-1"}, "depth_jump"),
        ({"border_depth": "-1"}, "border_depth"),
        ({"border_depth": "nan"}, "border_depth"),
        ({"border_depth": "1e39"}, "border_depth"),
        ({"device": "meta"}, "cpu, cuda"),
        ({"device": "xpu"}, "xpu"),
        ({"depth_steps": "0"}, "--depth_steps"),
        ({"crf": "99"}, "--crf"),
    ],
)
def test_bad_flags(recon, monkeypatch, changes, message):
    def work(*_, **__):
        raise AssertionError("flags are checked before work")

    monkeypatch.setattr("ex4d_core.video.load_video", work)
    assert message in recon(**changes)


def test_a_renderer_on_a_device_it_cannot_use(recon, monkeypatch):
    monkeypatch.setattr("ex4d_core.render.available_backends", lambda: ("nvdiffrast", "numba", "torch"))
    assert "nvdiffrast renders on CUDA" in recon(backend="nvdiffrast", device="cpu")


def test_a_rate_that_cannot_be_written(recon, folder):
    path = write_clip(folder / "fast.mkv", [numbered(i) for i in range(FRAMES)], rate=Fraction(2000))
    message = recon(input_video=path)
    assert "frames a second" in message and "--fps" in message


def test_two_cameras_that_some_file_systems_would_call_one(recon, tmp_path):
    for name in ("Shot", "shot"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.json").write_text(json.dumps(path_document()))
    files = "|".join(str(tmp_path / name / f"{name}.json") for name in ("Shot", "shot"))
    assert "Two camera paths" in recon(cam=None, camera=files)


def test_depth_of_another_length_beside_one_mesh(recon, tmp_path):
    np.savez(tmp_path / "depth.npz", depth=ramp(frames=3))
    assert "or for the one frame that is used" in recon(depth=tmp_path / "depth.npz", only_first_frame=1)


def test_unknown_flags_and_commands(capfd):
    assert cli.main(["bogus"]) == 2
    assert cli.main([]) == 2
    assert cli.main(["--help"]) == 0
    assert cli.main(["recon", "--help"]) == 0
    assert "--save_mesh" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bogus"], "--input_video, --output_dir"),
        (["--input_video", "a.mp4", "--output_dir", "out", "--bogus"], "--bogus"),
        (["--input_video"], "--input_video: expected one argument."),
    ],
)
def test_a_command_line_that_is_none_is_told_in_one_line(capfd, words, message):
    assert cli.main(["recon", *words]) == 2
    text = capfd.readouterr().err
    assert text.startswith("error: ") and message in text and len(text.splitlines()) == 1


def test_an_output_folder_that_is_a_file(video, depth, tmp_path, capfd):
    (tmp_path / "out").write_text("mine")
    words = ["--input_video", video, "--depth", depth, "--cam", "30", "--num_frames", "5", "--size", "64x48"]
    assert cli.main(["recon", *map(str, words), "--output_dir", str(tmp_path / "out")]) == 2
    assert "is a file" in capfd.readouterr().err and (tmp_path / "out").read_text() == "mine"


def test_a_folder_that_cannot_be_written(recon, monkeypatch):
    def refuse(self, *args, **keywords):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert "no permission" in recon()


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc, which even root cannot write to")
def test_a_folder_that_even_root_cannot_write(video, depth, capfd):
    words = ["--input_video", video, "--depth", depth, "--cam", "30", "--num_frames", "5", "--size", "64x48"]
    assert cli.main(["recon", *map(str, words), "--output_dir", "/proc/ex4d"]) == 2
    assert "cannot be written" in capfd.readouterr().err


def test_a_folder_where_a_file_is_to_go(video, depth, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("ex4d_core.video.load_video", None)  # no work is begun
    (tmp_path / "out" / "mask_30.mp4").mkdir(parents=True)
    words = ["--input_video", video, "--depth", depth, "--cam", "30", "--num_frames", "5", "--size", "64x48"]
    assert cli.main(["recon", *map(str, words), "--output_dir", str(tmp_path / "out")]) == 2
    assert "mask_30.mp4' is a folder" in capfd.readouterr().err


SMALL_DISKS = """
import json, os, resource, sys
sys.path.insert(0, sys.argv[1])
from ex4d_core.commands import cli, recon
from ex4d_core import render, video
for room, *words in json.loads(sys.argv[2]):
    if not os.fork():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        code = cli.main(words)
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.wait()[1]), end="\\0", file=sys.stderr, flush=True)
"""
"""Each in a fork of a process that has imported everything."""
FULL = {"--save_camera": 1500, "--save_mesh": 40000, "--save_frames": 3000}
"""What is saved last, and a size of files at which there is no room for it."""


@pytest.fixture(scope="module")
def full_disks(video, depth, tmp_path_factory):
    """What is saved -> the folder it was to go to, the command's exit code, and what it said."""
    pytest.importorskip("resource")
    folders = {flag: tmp_path_factory.mktemp("full") / "out" for flag in FULL}
    words = ["--input_video", video, "--depth", depth, "--cam", "30", "--num_frames", "5", "--size", "64x48"]
    runs = []
    for flag, folder in folders.items():
        folder.mkdir()
        (folder / "color_30.mp4").write_bytes(b"older")
        runs.append([FULL[flag], "recon", *map(str, words), flag, "--backend", "torch", "--output_dir", str(folder)])
    command = [sys.executable, "-c", SMALL_DISKS, str(ROOT), json.dumps(runs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    told = [part.rpartition("\n") for part in done.stderr.split("\0")[:-1]]
    return {flag: (folders[flag], int(code), text) for flag, (text, _, code) in zip(FULL, told)}


@pytest.mark.parametrize("flag", FULL)
def test_a_full_disk_leaves_nothing(full_disks, flag):
    folder, code, told = full_disks[flag]
    assert code == 2, told
    assert "disk is full" in told and "Traceback" not in told and ".ex4d-" not in told
    assert [p.name for p in folder.iterdir()] == ["color_30.mp4"]
    assert (folder / "color_30.mp4").read_bytes() == b"older"


@pytest.mark.skipif(os.name == "nt", reason="signals work otherwise on Windows")
def test_ctrl_c_leaves_nothing(folder, tmp_path):
    frames = 33
    video = write_clip(folder / "long.mp4", [numbered(i, 128, 128) for i in range(frames)])
    np.savez(folder / "long.npz", depth=ramp(frames, 64, 64))
    words = ["--input_video", video, "--depth", folder / "long.npz", "--cam", "30", "--num_frames", frames]
    words += ["--backend", "torch", "--size", "128x128", "--output_dir", tmp_path / "out"]
    command = [sys.executable, "-m", "ex4d_core", "recon", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 240
        while not list(tmp_path.glob("out/.ex4d-*/.color*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, text = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, text
    assert "interrupted" in text and "Traceback" not in text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("which", ["input_video", "depth", "camera"])
def test_results_in_the_place_of_what_is_read(recon, tmp_path, video, depth, which):
    from ex4d_core.trajectory import Trajectory

    here = tmp_path / "here"
    here.mkdir()
    camera = Trajectory.preset("30", frames=FRAMES).save(tmp_path / "move.npz")
    places = {
        "input_video": ("color_30.mp4", video),
        "depth": ("depth.npz", depth),
        "camera": ("camera_30.npz", camera),
    }
    name, origin = places[which]
    source = here / name
    source.write_bytes(origin.read_bytes())
    changes = {which: source, "output_dir": here, "save_depth": 1, "cam": "30|--save_camera"}
    message = recon(**changes)
    assert f"{name}' would be overwritten" in message
    assert source.read_bytes() == origin.read_bytes() and [p.name for p in here.iterdir()] == [name]
