"""What ``generate`` refuses before it starts a ComfyUI, and how it hands arguments on."""

from __future__ import annotations

import argparse
from types import SimpleNamespace

import pytest

from ex4d_core.commands import generate
from ex4d_core.errors import EX4DError


@pytest.fixture()
def arguments(tmp_path):
    """Parsed flags around files that exist; keyword arguments replace or add flags."""
    for name in ("color.mp4", "mask.mp4", "frames.npz"):
        (tmp_path / name).touch()

    def parse(**changes):
        flags = {"color_video": tmp_path / "color.mp4", "mask_video": tmp_path / "mask.mp4", "output_video": "out.mp4"}
        parser = argparse.ArgumentParser()
        generate.add_arguments(parser)
        return parser.parse_args([f"--{k}={v}" for k, v in (flags | changes).items() if v is not None])

    return parse


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"color_video": "missing.mp4"}, "no --color_video"),
        ({"mask_video": "missing.mp4"}, "no --mask_video"),
        ({"mask_video": None}, "give --mask_video"),
        ({"prompt_embeds": "missing.safetensors"}, "no --prompt_embeds"),
        ({"output_video": "out.gif"}, r"\.mp4"),
        ({"width": 50}, "multiples of 16"),
        ({"num_frames": 6}, "use 5 or 9"),
        ({"num_inference_steps": 0}, "at least one step"),
        ({"few_steps": 0}, "at least one step"),
        ({"shift": 0}, "positive number"),
        ({"segment_frames": 48}, r"4n \+ 1"),
        ({"erosion": "fixed", "erosion_size": 0}, "at least 1 pixel"),
        ({"fps": 0}, "--fps"),
        ({"comfy_args": "'--cpu"}, "--comfy_args"),
    ],
)
def test_wrong_flags_are_refused_before_comfyui_is_looked_for(arguments, changes, words):
    with pytest.raises(EX4DError, match=words):
        generate.run(arguments(comfyui="/nowhere", **changes))


def test_a_missing_comfyui_is_named(arguments):
    with pytest.raises(EX4DError, match="no ComfyUI checkout at /nowhere"):
        generate.run(arguments(comfyui="/nowhere"))


def test_a_few_steps_are_taken_at_cfg_1(arguments):
    assert generate.child_settings(arguments(few_steps=4, cfg=5))["run"]["cfg"] == 1
    assert generate.child_settings(arguments(cfg=3))["run"]["cfg"] == 3


@pytest.mark.parametrize(
    ("system", "text", "wanted"),
    [
        ("posix", "--lowvram --base-directory '/a b/c'", ["--lowvram", "--base-directory", "/a b/c"]),
        ("nt", r'--lowvram --base-directory "C:\a b\c"', ["--lowvram", "--base-directory", r"C:\a b\c"]),
        ("posix", "", []),
    ],
)
def test_arguments_for_comfyui_may_be_quoted(monkeypatch, system, text, wanted):
    monkeypatch.setattr(generate, "os", SimpleNamespace(name=system))
    assert generate.words(text) == wanted
