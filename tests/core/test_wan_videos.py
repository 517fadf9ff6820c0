"""The rendered pair that the sampler reads: whole, of one kind, or refused in a sentence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from media import numbered, write_clip, write_sound

from ex4d_core.errors import EX4DError
from ex4d_core.wan.videos import read_color_and_mask


def pair(frames=5, height=20, width=24):
    generator = np.random.default_rng(0)
    color = generator.integers(0, 256, (frames, height, width, 3)).astype(np.uint8)
    return {"color": color, "mask": (generator.random((frames, height, width)) > 0.5).astype(np.uint8) * 255}


@pytest.fixture
def path(tmp_path):
    np.savez_compressed(tmp_path / "frames.npz", **pair())
    return tmp_path / "frames.npz"


def test_the_lossless_file_gives_both_exactly(path):
    color, mask = read_color_and_mask(path, None)
    assert torch.equal(color, torch.from_numpy(pair()["color"])) and torch.equal(mask, torch.from_numpy(pair()["mask"]))
    assert color.dtype == mask.dtype == torch.uint8


def test_a_mask_video_may_stand_beside_the_lossless_file(path, tmp_path):
    video = write_clip(tmp_path / "mask.mp4", [numbered(i) for i in range(5)])
    assert read_color_and_mask(path, video)[1].shape == (5, 48, 64)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.98])
def test_a_file_that_is_cut_off_is_told(path, keep):
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(EX4DError, match="cut off"):
        read_color_and_mask(path, None)


def test_a_flipped_byte_is_told(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(EX4DError, match="damaged"):
        read_color_and_mask(path, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"color": pair()["color"] / 255.0}, "'color'.*float64.*expected uint8"),
        ({"color": pair()["color"].astype(np.int64)}, "'color'.*int64"),
        ({"color": pair()["color"][..., 0]}, r"'color'.*\(5, 20, 24\).*\(frames, height, width, 3\)"),
        ({"color": pair()["color"][:0]}, "'color'"),
        ({"mask": pair()["mask"] > 0}, "'mask'.*bool"),
        ({"mask": pair()["color"]}, r"'mask'.*\(frames, height, width\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_arrays_of_another_type_or_shape_are_refused(tmp_path, change, words):
    np.savez(tmp_path / "frames.npz", **pair() | change)
    with pytest.raises(EX4DError, match=words):
        read_color_and_mask(tmp_path / "frames.npz", None)


def test_missing_arrays_and_files_are_named(tmp_path):
    np.savez(tmp_path / "frames.npz", color=pair()["color"])
    with pytest.raises(EX4DError, match="'mask'"):
        read_color_and_mask(tmp_path / "frames.npz", None)
    with pytest.raises(EX4DError, match="no file"):
        read_color_and_mask(tmp_path / "other.npz", None)
    with pytest.raises(EX4DError, match="no video"):
        read_color_and_mask(tmp_path / "color.mp4", tmp_path / "mask.mp4")
    with pytest.raises(EX4DError, match="has no mask"):
        read_color_and_mask(tmp_path / "color.mp4", None)


def test_a_file_that_is_no_video_is_told(tmp_path):
    (tmp_path / "color.mp4").write_bytes(b"nothing")
    with pytest.raises(EX4DError, match="is not a video that can be read"):
        read_color_and_mask(tmp_path / "color.mp4", tmp_path / "color.mp4")
    sound = write_sound(tmp_path / "sound.m4a")
    with pytest.raises(EX4DError, match="no frame"):
        read_color_and_mask(sound, sound)


def test_a_damaged_video_is_told_with_the_frames_before_the_damage(tmp_path):
    grain = np.random.default_rng(0).integers(0, 8, (30, 48, 64, 3)).astype(np.uint8)
    path = write_clip(tmp_path / "color.mp4", [numbered(i) + noise for i, noise in enumerate(grain)], faststart=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(EX4DError, match=r"is damaged after \d+ frames"):
        read_color_and_mask(path, path)


def test_tags_in_another_encoding_are_no_obstacle(tmp_path):
    path = write_clip(tmp_path / "color.mp4", [numbered(i) for i in range(3)])
    path.write_bytes(path.read_bytes().replace(b"VideoHandler", "VidéoHandler".encode("latin-1")))
    assert len(read_color_and_mask(path, path)[0]) == 3
