"""``python -m ex4d_core generate`` against a real ComfyUI, with tiny weights."""

from __future__ import annotations

import os
import shlex

import numpy as np
import pytest
import torch
from harness.wan import layout
from safetensors.torch import load_file, save_file

from ex4d_core.commands import cli
from ex4d_core.commands.train import check_preview
from ex4d_core.machine import kept


@pytest.fixture()
def flags(host, reference, tmp_path):
    """Flags of a run in words; keyword arguments replace or add some."""
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

    def in_words(**changes):
        flags = {
            "comfyui": host.path, "color_video": tmp_path / "frames.npz", "output_video": tmp_path / "out" / "shot.mp4",
            "device": "cpu", "width": 48, "height": 32, "num_frames": 5, "num_inference_steps": 2,
            "prompt_embeds": tmp_path / "embeds.safetensors", "ex4d_path": folder / "ex4d_tiny_r16.ckpt",
            "dit_dir": folder / "dit_tiny.safetensors", "vae_path": folder / "vae_tiny8.safetensors", **changes,
        }  # fmt: skip
        return [word for name, value in flags.items() for word in (f"--{name}", str(value))]

    return in_words


@pytest.fixture()
def command(flags, ex4d):
    """Runs generate as a user does; keyword arguments replace or add flags."""
    return lambda **changes: ex4d("generate", *flags(**changes))


@pytest.fixture()
def work(flags, do_job):
    """Runs generate in a process that has loaded ComfyUI before; keyword arguments replace or add flags."""
    return lambda **changes: do_job("generate", flags(**changes))


def test_a_video_comes_out(command, tmp_path):
    from ex4d_core.video import probe_video

    result = command(keep_seen=1)
    assert result.returncode == 0, result.stderr[-3000:]
    info = probe_video(tmp_path / "out" / "shot.mp4")
    assert (info.width, info.height, info.frames, float(info.fps)) == (48, 32, 5, 15.0)


def test_jobs_of_a_batch_go_through_one_process_that_reads_its_models_once(
    newest_host, flags, reference, monkeypatch, tmp_path
):
    monkeypatch.setattr(kept, "_kept", {})
    weights = {}
    for name, file in (("dit_dir", "dit_tiny.safetensors"), ("vae_path", "vae_tiny8.safetensors")):
        weights[name] = tmp_path / file
        save_file(load_file(reference / "adapter" / file), weights[name])
    films = [tmp_path / "out" / f"{number}.mp4" for number in range(2)]
    processes = []
    try:
        for film in films:
            assert cli.main(["generate", *flags(output_video=film, **weights)]) == 0
            processes.append(kept._kept["comfyui"][1].process)
            # Other weights of the same size and time, which only a second reading would find.
            for file in weights.values():
                taken = file.stat()
                save_file({name: tensor * 0 for name, tensor in load_file(file).items()}, tmp_path / "zeros")
                os.utime(tmp_path / "zeros", ns=(taken.st_atime_ns, taken.st_mtime_ns))
                assert (tmp_path / "zeros").stat().st_size == taken.st_size
                os.replace(tmp_path / "zeros", file)
    finally:
        for process in processes[-1:]:
            process.terminate()
            process.wait(20)
    assert processes[0] is processes[1]
    assert films[0].read_bytes() == films[1].read_bytes()


def test_a_training_run_shows_what_its_adapter_makes(newest_host, flags, small_vae, reference, monkeypatch, tmp_path):
    """The adapter as the run holds it, through the very process that users start."""
    from ex4d_core.training.config import ModelConfig, PreviewConfig, RunConfig
    from ex4d_core.training.previews import Previews
    from ex4d_core.wan.checkpoint import load_adapter

    monkeypatch.setenv("PYTHONPATH", small_vae["PYTHONPATH"])
    words = flags()
    for flag in ("--color_video", "--output_video", "--ex4d_path", "--dit_dir"):
        del words[words.index(flag) : words.index(flag) + 2]
    config = RunConfig(
        output=str(tmp_path / "run"),
        model=ModelConfig(base=str(reference / "adapter" / "dit_tiny.safetensors")),
        preview=PreviewConfig(1, str(tmp_path / "frames.npz"), flags=shlex.join(words)),
    )
    check_preview(config)
    previews = Previews(config)
    assert previews.begin(7, load_adapter(reference / "adapter" / "ex4d_tiny_r16.ckpt").state_dict())
    film = previews.last()
    assert film is not None and film.path == tmp_path / "run" / "previews" / "step-000007.mp4", film
    assert [path.name for path in film.path.parent.iterdir()] == ["step-000007.mp4"]


def test_a_lora_that_matches_no_layer_is_refused(newest_host, work, tmp_path):
    """It would otherwise be left out without a word that a user sees."""
    other = {f"lora_unet_down_blocks_0.lora_{side}.weight": torch.zeros(4, 4) for side in ("up", "down")}
    save_file(other, tmp_path / "other.safetensors")
    result = work(lora=tmp_path / "other.safetensors")
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
def test_embeddings_of_another_encoder_are_refused_before_the_model_is_read(work, tmp_path, name, tensor, words):
    save_file(load_file(tmp_path / "embeds.safetensors") | {name: tensor}, tmp_path / "wrong.safetensors")
    result = work(prompt_embeds=tmp_path / "wrong.safetensors")
    assert result.returncode == 2 and words in result.stderr, result.stderr[-3000:]


def test_names_are_looked_for_in_extra_model_paths_too(newest_host, command, reference, tmp_path):
    config = tmp_path / "paths.yaml"
    config.write_text(f"mine:\n  ex4d: {(reference / 'adapter').as_posix()}\n", encoding="utf-8")
    result = command(ex4d_path="inputs.safetensors", comfy_args=f"--extra-model-paths-config {config}")
    assert "inputs.safetensors is not an EX-4D adapter" in result.stderr, result.stderr[-3000:]
    assert result.returncode == 2 and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampler": "nope"}, "no sampler named 'nope'"),
        ({"dit_dir": "t2v.safetensors"}, "MODEL is Wan2.1 T2V"),
    ],
)
def test_what_only_comfyui_knows_is_refused_before_large_files_are_read(work, reference, tmp_path, changes, words):
    wan = load_file(reference / "adapter" / "dit_tiny.safetensors")
    save_file(layout(wan, "Wan2.1 T2V"), tmp_path / "t2v.safetensors")
    if "dit_dir" in changes:
        changes = {"dit_dir": tmp_path / changes["dit_dir"]}
    # The VAE is none, which is noticed as soon as it is read.
    result = work(vae_path=reference / "adapter" / "inputs.safetensors", **changes)
    assert result.returncode == 2
    assert words in result.stderr, result.stderr[-3000:]
