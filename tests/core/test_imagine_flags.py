"""What ``imagine`` refuses before it starts a ComfyUI, and what it hands on."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
import torch
from PIL import Image

from ex4d_core.commands import imagine
from ex4d_core.errors import EX4DError
from ex4d_core.wan.fourdnex.condition import load_picture
from ex4d_core.wan.fourdnex.job import Job


@pytest.fixture()
def arguments(tmp_path):
    Image.new("RGB", (300, 200), (10, 20, 30)).save(tmp_path / "picture.png")

    def make(**changes):
        parser = argparse.ArgumentParser()
        imagine.add_arguments(parser)
        given = parser.parse_args(["--image", str(tmp_path / "picture.png"), "--output_dir", str(tmp_path / "out")])
        return argparse.Namespace(**{**vars(given), "comfyui": "/nowhere", **changes})

    return make


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": "/nowhere.png"}, "no --image"),
        ({"fps": 0}, "--fps"),
        ({"fov": 180}, "--fov"),
        ({"num_frames": 48}, "4n"),
        ({"width": 96}, "both --width and --height"),
        ({"width": 100, "height": 96}, "multiples of 16"),
        ({"num_inference_steps": 0}, "at least one step"),
        ({"prompt_embeds": "/nowhere"}, "no --prompt_embeds"),
        ({}, "no ComfyUI checkout at /nowhere"),
    ],
)
def test_what_cannot_work_is_refused_at_once(arguments, tmp_path, changes, words):
    with pytest.raises(EX4DError, match=words):
        imagine.run(arguments(**changes))
    assert not (tmp_path / "out").exists()


def test_a_few_steps_are_taken_at_cfg_1_and_the_job_survives_its_journey(arguments):
    job = imagine.job_of(arguments(few_steps=4, lora=["a:0.5"], prompt="a cat"), "out.npz")
    assert (job.run.steps, job.run.cfg, job.run.sampler, job.run.seed) == (4, 1.0, "published", 42)
    assert Job.from_json(job.to_json()) == job


def test_a_scene_stays_where_its_lens_cannot_be_told(monkeypatch, arguments, tmp_path, capsys):
    def noise(work, job, args):
        generator = np.random.default_rng(0)
        points = generator.random((3, 32, 48, 3), dtype=np.float32)
        color = np.zeros((3, 32, 48, 3), np.uint8)
        np.savez(Job.from_json(job).output, color=color, points=points, pixel_aspect=np.ones(1))
        return 0

    monkeypatch.setattr(imagine.comfyui, "run", noise)
    with pytest.raises(EX4DError, match=r"The scene is written, but .*--fov"):
        imagine.run(arguments())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["pointmap.npz"]
    assert "pointmap.npz" in capsys.readouterr().out


def test_a_picture_is_read_upright_and_what_is_transparent_is_black(tmp_path):
    picture = Image.new("RGBA", (4, 2), (200, 100, 50, 0))
    picture.putpixel((0, 0), (200, 100, 50, 255))
    exif = Image.Exif()
    exif[274] = 6  # turned by a quarter
    picture.save(tmp_path / "turned.png", exif=exif)
    read = load_picture(tmp_path / "turned.png")
    assert read.shape == (4, 2, 3) and read.dtype == torch.uint8
    assert sorted({tuple(pixel) for pixel in read.reshape(-1, 3).tolist()}) == [(0, 0, 0), (200, 100, 50)]
    (tmp_path / "no.png").write_text("text")
    with pytest.raises(EX4DError, match="cannot be read as a picture"):
        load_picture(tmp_path / "no.png")
