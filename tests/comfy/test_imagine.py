"""``python -m ex4d_core imagine`` against a real ComfyUI, with tiny weights, and what ``recon`` makes of its result."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ex4d_core.commands import cli, comfyui
from ex4d_core.pointmap import load_pointmap
from ex4d_core.video import load_video


@pytest.fixture()
def flags(host, reference, tmp_path):
    """Flags of a run in words; keyword arguments replace or add some."""
    folder = reference / "fourdnex"
    inputs = load_file(folder / "inputs.safetensors")
    texts = {"positive": "context_pos", "negative": "context_neg", "clip_vision": "clip_fea"}
    save_file({name: inputs[key].clone() for name, key in texts.items()}, tmp_path / "embeds.safetensors")
    Image.fromarray(inputs["source_image_u8"].numpy()).save(tmp_path / "picture.png")

    def in_words(**changes):
        flags = {
            "comfyui": host.path, "image": tmp_path / "picture.png", "output_dir": tmp_path / "out", "device": "cpu",
            "width": 96, "height": 64, "num_frames": 9, "num_inference_steps": 3,
            "prompt_embeds": tmp_path / "embeds.safetensors",
            "fourdnex_path": folder / "adapter_r8" / "pytorch_lora_weights.safetensors",
            "dit_dir": folder / "wan_tiny.safetensors", "vae_path": reference / "adapter" / "vae_tiny8.safetensors", **changes,
        }  # fmt: skip
        return [word for name, value in flags.items() for word in (f"--{name}", str(value))]

    return in_words


@pytest.fixture()
def command(host_process, monkeypatch):
    """Runs the command line; what it has done in ComfyUI's folder is done by a process that has loaded ComfyUI before."""

    def done_there(work: str, job: str, _args: object) -> int:
        done = host_process.do(work, job)
        print(done.stderr)
        return done.returncode

    monkeypatch.setattr(comfyui, "run", done_there)  # that it starts a process of its own is tested with generate
    return lambda *words: cli.main([str(word) for word in words])


def test_a_scene_comes_out_and_is_shot_anew(flags, command, tmp_path):
    assert command("imagine", *flags(fov=40)) == 0  # the field of view, which noise does not tell
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["camera.npz", "color.mp4", "depth.npz", "pointmap.npz"]
    scene = load_pointmap(out / "pointmap.npz")
    assert (len(scene), scene.width, scene.height, scene.fps) == (9, 96, 64, 24.0)
    assert scene.pixel_aspect == pytest.approx((64 / 101) / (96 / 152))
    video = load_video(out / "color.mp4")
    with np.load(out / "depth.npz") as depth:
        assert depth["depth"].shape == video.frames.shape[:3] and depth["intrinsics"].shape == (3, 3)
        assert np.isfinite(depth["depth"]).all() and depth["depth"].min() > 0
    # Two commands from one picture to a shot.
    size = f"{video.frames.shape[2]}x{video.frames.shape[1]}"
    camera = ("--source_camera", out / "camera.npz", "--source_scale", 1)
    clip = ("--input_video", out / "color.mp4", "--depth", out / "depth.npz", "--num_frames", 9, "--size", size)
    shot = ("--cam", "30", "--backend", "torch", "--output_dir", tmp_path / "shot")  # torch: nothing to compile
    assert command("recon", *clip, *camera, *shot) == 0
    assert {"color_30.mp4", "mask_30.mp4"} <= {path.name for path in (tmp_path / "shot").iterdir()}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampler": "nope"}, "no sampler named 'nope'"),
        ({"vae_tiles": 256}, "seam"),
        ({"vectors_path": "WIDE"}, "expected (2, 128)"),
        ({"dit_dir": "EX4D"}, "made for a model of 2 blocks and width 128, but MODEL has 2 blocks and width 256"),
    ],
)
def test_what_only_comfyui_knows_is_refused_before_large_files_are_read(
    flags, do_job, reference, tmp_path, changes, words
):
    torch.save(torch.zeros(2, 64), tmp_path / "wide.pt")
    places = {"WIDE": tmp_path / "wide.pt", "EX4D": reference / "adapter" / "dit_tiny.safetensors"}
    changes = {name: places.get(value, value) for name, value in changes.items()}
    # The VAE is none, which is noticed as soon as it is read.
    result = do_job("imagine", flags(vae_path=reference / "adapter" / "inputs.safetensors", **changes))
    assert result.returncode == 2 and words in result.stderr, result.stderr[-3000:]
    assert not (tmp_path / "out").exists()
