"""``python -m ex4d_core generate`` against a real ComfyUI, with tiny weights."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from harness.hosts import ROOT, web_packages
from harness.wan import layout
from safetensors.torch import load_file, save_file

# ComfyUI fixes the Wan VAE's width at 96; in these runs it is the small recorded one.
SITE = """
import importlib.machinery, sys

class Small:
    def find_spec(self, name, path=None, target=None):
        if name != "comfy.ldm.wan.vae":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        run = spec.loader.exec_module
        def exec_module(module):
            run(module)
            full = module.WanVAE
            module.WanVAE = lambda **config: full(**{**config, "dim": 8})
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Small())
"""


@pytest.fixture()
def command(host, reference, tmp_path):
    """Runs generate; keyword arguments replace or add flags."""
    folder = reference / "adapter"
    inputs = load_file(folder / "inputs.safetensors")
    save_file(
        {"positive": inputs["context_pos"], "negative": inputs["context_neg"], "clip_vision": inputs["clip_fea"]},
        tmp_path / "embeds.safetensors",
    )
    ramp = np.broadcast_to(np.arange(48, dtype=np.uint8)[None, None, :, None] * 4, (5, 32, 48, 3))
    mask = np.full((5, 32, 48), 255, dtype=np.uint8)
    mask[2:, :, :12] = 0
    np.savez(tmp_path / "frames.npz", color=ramp, mask=mask)
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)
    web = web_packages(host)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *([str(web)] if web else [])])}

    def run(**changes):
        flags = {
            "comfyui": host.path, "color_video": tmp_path / "frames.npz", "output_video": tmp_path / "out" / "shot.mp4",
            "device": "cpu", "width": 48, "height": 32, "num_frames": 5, "num_inference_steps": 2,
            "prompt_embeds": tmp_path / "embeds.safetensors", "ex4d_path": folder / "ex4d_tiny_r16.ckpt",
            "dit_dir": folder / "dit_tiny.safetensors", "vae_path": folder / "vae_tiny8.safetensors", **changes,
        }  # fmt: skip
        words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
        call = [sys.executable, "-m", "ex4d_core", "generate", *words]
        return subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250)

    return run


def test_a_video_comes_out(command, tmp_path):
    from ex4d_core.video import probe_video

    result = command(keep_seen=1)
    assert result.returncode == 0, result.stderr[-3000:]
    info = probe_video(tmp_path / "out" / "shot.mp4")
    assert (info.width, info.height, info.frames, float(info.fps)) == (48, 32, 5, 15.0)


def test_a_wrong_adapter_ends_with_one_sentence_and_no_video(command, reference, tmp_path):
    result = command(ex4d_path=reference / "adapter" / "inputs.safetensors")
    assert result.returncode == 2
    assert "is not an EX-4D adapter" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_lora_that_matches_no_layer_is_refused(command, tmp_path):
    """It would otherwise be left out without a word that a user sees."""
    other = {f"lora_unet_down_blocks_0.lora_{side}.weight": torch.zeros(4, 4) for side in ("up", "down")}
    save_file(other, tmp_path / "other.safetensors")
    result = command(lora=tmp_path / "other.safetensors")
    assert result.returncode == 2, result.stderr[-3000:]
    assert "The LoRA other.safetensors matches no layer of the model" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("clip_vision", torch.zeros(1, 257, 1024), "The CLIP vision output is of another encoder (257x1024"),
        ("negative", torch.zeros(1, 20, 768), "The negative conditioning is 768 wide"),
        ("positive", torch.zeros(20, 4096), "The positive conditioning is of shape (20, 4096)"),
    ],
)
def test_embeddings_of_another_encoder_are_refused_before_the_model_is_read(command, tmp_path, name, tensor, words):
    save_file(load_file(tmp_path / "embeds.safetensors") | {name: tensor}, tmp_path / "wrong.safetensors")
    result = command(prompt_embeds=tmp_path / "wrong.safetensors")
    assert result.returncode == 2 and words in result.stderr, result.stderr[-3000:]


def test_names_are_looked_for_in_extra_model_paths_too(command, reference, tmp_path):
    config = tmp_path / "paths.yaml"
    config.write_text(f"mine:\n  ex4d: {(reference / 'adapter').as_posix()}\n", encoding="utf-8")
    result = command(ex4d_path="inputs.safetensors", comfy_args=f"--extra-model-paths-config {config}")
    assert "inputs.safetensors is not an EX-4D adapter" in result.stderr, result.stderr[-3000:]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampler": "nope"}, "no sampler named 'nope'"),
        ({"dit_dir": "t2v.safetensors"}, "MODEL is Wan2.1 T2V"),
    ],
)
def test_what_only_comfyui_knows_is_refused_before_large_files_are_read(command, reference, tmp_path, changes, words):
    wan = load_file(reference / "adapter" / "dit_tiny.safetensors")
    save_file(layout(wan, "Wan2.1 T2V"), tmp_path / "t2v.safetensors")
    if "dit_dir" in changes:
        changes = {"dit_dir": tmp_path / changes["dit_dir"]}
    # The VAE is none, which is noticed as soon as it is read.
    result = command(vae_path=reference / "adapter" / "inputs.safetensors", **changes)
    assert result.returncode == 2
    assert words in result.stderr, result.stderr[-3000:]
