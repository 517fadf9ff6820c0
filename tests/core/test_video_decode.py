"""Decoding gives exactly the frames, size, colours and orientation asked for."""

from __future__ import annotations

import io
import re
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from media import fields_woven, number_of, numbered, set_display_matrix, write_clip, write_png16

from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.video import PicturesInMemory, VideoClip, clip_sound, load_video, probe_video, save_video, video_file


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", [numbered(i) for i in range(24)])


def numbers(clip):
    return [number_of(frame) for frame in clip.frames]


def test_probe_tells_size_rate_and_length(clip_path):
    info = probe_video(clip_path)
    assert (info.size, info.fps, info.frames, info.has_audio) == ((64, 48), Fraction(30), 24, False)


def test_all_frames_in_order(clip_path):
    clip = load_video(clip_path)
    assert clip.frames.shape == (24, 48, 64, 3) and clip.frames.dtype == torch.uint8
    assert clip.fps == 30 and numbers(clip) == list(range(24)) == list(clip.source_frames)


def test_images_are_the_frames_divided_by_255():
    frames = torch.arange(256, dtype=torch.uint8).reshape(2, 8, 16)[..., None].expand(-1, -1, -1, 3).contiguous()
    images = VideoClip(frames, 15.0, "clip").images()
    assert images.dtype == torch.float32 and torch.equal(images, frames / 255)


def test_start_and_count(clip_path):
    clip = load_video(clip_path, start=5, count=7)
    assert numbers(clip) == list(range(5, 12)) and clip.start_seconds == pytest.approx(5 / 30)


def test_half_the_rate_keeps_every_second_frame(clip_path):
    clip = load_video(clip_path, fps=15)
    assert clip.fps == 15 and numbers(clip) == list(range(0, 24, 2))


def test_double_the_rate_repeats_frames(clip_path):
    assert numbers(load_video(clip_path, fps=60, count=8)) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_late_start_seeks_and_lands_exactly(tmp_path):
    path = write_clip(tmp_path / "long.mp4", [numbered(i) for i in range(120)], gop=24)
    decoded = []
    clip = load_video(path, start=100, count=5, cancel=lambda: decoded.append(1) is not None)
    assert numbers(clip) == [i % 24 for i in range(100, 105)] and clip.source_frames == tuple(range(100, 105))
    assert len(decoded) < 40


def test_a_variable_rate_follows_the_clock(tmp_path):
    # Held frames, as screen recorders and phones write them.
    times = [0, 0.1, 0.2, 0.9, 1.0, 1.1]
    path = write_clip(tmp_path / "vfr.mkv", [numbered(i) for i in range(6)], rate=Fraction(10), times=times)
    assert numbers(load_video(path, fps=10, count=12)) == [0, 1, 2, 2, 2, 2, 2, 2, 2, 3, 4, 5]


def test_streams_are_read_like_files(clip_path):
    clip = load_video(io.BytesIO(clip_path.read_bytes()), count=3)
    assert numbers(clip) == [0, 1, 2]


def test_names_that_look_like_something_else(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", [numbered(i) for i in range(3)])
    odd = path.rename(tmp_path / "take 12:30 %03d [1] é.mp4")
    assert numbers(load_video(odd)) == [0, 1, 2]
    pictures = tmp_path / "50% off"
    pictures.mkdir()
    av.VideoFrame.from_ndarray(numbered(4), format="rgb24").to_image().save(pictures / "a%20b%d.png")
    assert numbers(load_video(pictures)) == [4]


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_fits(clip_path, fit):
    picture = load_video(clip_path, count=1, size=(64, 64), fit=fit).frames[0].numpy()
    assert picture.shape == (64, 64, 3)
    middle = numbered(0)[-1, -1, 0]
    if fit == "pad":
        assert picture[:7].max() == 0 and picture[-7:].max() == 0
        assert picture[12, 5, 0] > 250 and abs(int(picture[50, 60, 0]) - middle) < 4
    else:
        assert picture[5, 5, 0] > 250 and abs(int(picture[60, 60, 0]) - middle) < 4
    # Where the white quarter ends tells how much was cut off the sides.
    edge = int((picture[16] > 140)[:, 0].sum())
    assert abs(edge - 32) <= 1


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [
        ((0, 1, -1, 0), "upper right"),  # a quarter turn clockwise, as phones write it
        ((-1, 0, 0, -1), "lower right"),
        ((0, -1, 1, 0), "lower left"),
        ((-1, 0, 0, 1), "upper right"),  # mirrored
    ],
)
def test_the_display_matrix_is_applied(tmp_path, matrix, corner):
    path = set_display_matrix(write_clip(tmp_path / "turned.mp4", [numbered(0)] * 2), *matrix)
    picture = load_video(path).frames[0].numpy()
    upright = matrix[0] != 0
    assert picture.shape[:2] == ((48, 64) if upright else (64, 48))
    assert probe_video(path).size == ((64, 48) if upright else (48, 64))
    rows = slice(0, 12) if "upper" in corner else slice(-12, None)
    columns = slice(-12, None) if "right" in corner else slice(0, 12)
    assert picture[rows, columns].mean() > 250 > picture.mean() * 2


def test_pixels_that_are_not_square_are_squared(tmp_path):
    path = write_clip(tmp_path / "wide.mp4", [numbered(0)] * 2, pixel_aspect=Fraction(4, 3))
    assert probe_video(path).size == (85, 48)
    assert load_video(path).frames.shape == (2, 48, 85, 3)
    assert load_video(path, size=(64, 64), fit="pad").frames[0, :13].max() == 0


COLOURS = [(200, 30, 60), (40, 180, 90), (30, 70, 220), (250, 240, 20), (128, 128, 128)]


@pytest.mark.parametrize("matrix", [1, 6])
@pytest.mark.parametrize("full_range", [False, True])
def test_colour_matrix_and_range_are_those_of_the_file(tmp_path, matrix, full_range):
    pictures = [np.full((48, 64, 3), colour, np.uint8) for colour in COLOURS]
    path = write_clip(tmp_path / "c.mp4", pictures, matrix=matrix, full_range=full_range, gop=1)
    clip = load_video(path)
    means = clip.frames.float().mean((1, 2)).numpy()
    assert np.abs(means - np.array(COLOURS)).max() < 2.5


def test_untagged_video_is_601_when_small_and_709_when_large(tmp_path):
    for height, matrix in ((48, 6), (720, 1)):
        picture = np.full((height, 64, 3), COLOURS[0], np.uint8)
        path = write_clip(tmp_path / f"{height}.mp4", [picture] * 2, matrix=matrix, tagged=False)
        mean = load_video(path).frames.float().mean((0, 1, 2)).numpy()
        assert np.abs(mean - COLOURS[0]).max() < 2.5


def test_hdr_is_mentioned(tmp_path, caplog):
    path = write_clip(tmp_path / "hdr.mp4", [numbered(0)] * 2, transfer=16)
    load_video(path)
    assert "HDR" in caplog.text


def moving_bar(frames: int) -> list[np.ndarray]:
    """A bright bar that moves right by three pixels a picture, over a still pattern of fine lines at the top."""
    pictures = np.full((frames, 96, 128, 3), 40, np.uint8)
    pictures[:, 0:16:2] = 200
    for t, picture in enumerate(pictures):
        picture[32:88, 8 + 3 * t : 28 + 3 * t] = 220
    return list(pictures)


def combing(frames: torch.Tensor) -> float:
    """How far rows differ from the mean of their neighbours, where the bar moves."""
    rows = frames[:, 36:84].float()
    return float((rows[:, 1:-1] - (rows[:, :-2] + rows[:, 2:]) / 2).abs().mean())


@pytest.mark.parametrize("start", [0, 40])
def test_interlaced_video_is_deinterlaced(tmp_path, caplog, start):
    # 80 fields before the bar moves, so that a late start seeks.
    pictures = [moving_bar(1)[0]] * 80 + moving_bar(24)
    path = write_clip(tmp_path / "fields.mp4", fields_woven(pictures), rate=Fraction(15), interlaced=True)
    raw = [frame.to_ndarray(format="rgb24") for frame in av.open(str(path)).decode(video=0)][start:]
    clip = load_video(path, start=start)
    assert len(clip) == 52 - start and clip.source_frames == tuple(range(start, 52))
    moving = slice(42 - start, 51 - start)
    assert combing(clip.frames[moving]) < 0.1 * combing(torch.from_numpy(np.stack(raw))[moving])
    # What stands still keeps every row.
    assert int((clip.frames[1:, 4:12].int() - torch.from_numpy(pictures[0][4:12]).int()).abs().max()) < 12
    assert caplog.text.count("deinterlaced") == 1


def test_progressive_video_passes_no_filter(clip_path, caplog):
    assert numbers(load_video(clip_path)) == list(range(24)) and not caplog.text


def noisy_clip(path, sound, frames=60):
    """Big enough to be cut in its pictures; made with sound that is longer than the video."""
    grain = np.random.default_rng(0).integers(0, 8, (frames, 48, 64, 3)).astype(np.uint8)
    return write_clip(path, [numbered(i) + noise for i, noise in enumerate(grain)], sound=sound)


@pytest.mark.parametrize("sound", [0.0, 3.0])
def test_a_matroska_file_that_is_cut_off_is_refused_where_its_end_is_asked_for(tmp_path, sound):
    path = noisy_clip(tmp_path / "whole.mkv", sound)
    assert len(load_video(path)) == probe_video(path).frames == 60
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    with pytest.raises(EX4DError, match="announces 60 frames and ends after") as refused:
        load_video(cut)
    good = int(re.search(r"ends after (\d+)", str(refused.value))[1])
    assert 30 < good < 55 and numbers(load_video(cut, count=good)) == [i % 24 for i in range(good)]
    with pytest.raises(EX4DError, match="cut off"):
        load_video(cut, count=good + 1)


def test_a_transport_stream_that_ends_in_a_packet_is_read_with_a_warning(tmp_path, caplog):
    path = tmp_path / "cut.ts"
    noisy_clip(path, 0.0)
    assert len(load_video(path)) == 60 and not caplog.text
    with open(path, "ab") as file:  # the start of a further packet
        file.write(b"\x47\x01\x00")
    assert len(load_video(path)) == 60 and "is cut off after 60 frames" in caplog.text


def test_a_transport_stream_that_begins_within_a_group_of_pictures_is_not_called_cut_off(tmp_path):
    path = noisy_clip(tmp_path / "whole.ts", 0.0)
    data = path.read_bytes()
    late = tmp_path / "late.ts"
    late.write_bytes(data[len(data) // 3 // 188 * 188 :])
    clip = load_video(late)
    assert 24 <= len(clip) <= 40 and number_of(clip.frames[-1]) == 59 % 24


def test_ten_bits_and_odd_sizes(tmp_path):
    picture = np.full((47, 63, 3), COLOURS[1], np.uint8)
    path = write_clip(tmp_path / "odd.mkv", [picture] * 3, codec="ffv1", pixels="yuv444p10le")
    clip = load_video(path)
    assert clip.frames.shape == (3, 47, 63, 3)
    assert np.abs(clip.frames.float().mean((0, 1, 2)).numpy() - COLOURS[1]).max() < 2


def test_a_folder_is_a_clip_in_natural_order(tmp_path):
    for index in (10, 2, 1):
        frame = av.VideoFrame.from_ndarray(numbered(index), format="rgb24")
        frame.to_image().save(tmp_path / f"shot_{index}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    clip = load_video(tmp_path)
    assert numbers(clip) == [1, 2, 10] and clip.fps == 15
    assert load_video(tmp_path, fps=24, count=2).fps == 24


def test_a_grey_16_bit_picture_is_not_clipped(tmp_path):
    values = np.linspace(0, 65535, 48 * 64).reshape(48, 64).astype(np.uint16)
    write_png16(tmp_path / "1.png", values)
    picture = load_video(tmp_path).frames[0].numpy().astype(float)
    assert np.abs(picture - (values / 257)[..., None]).max() <= 1.5


def test_a_folder_of_mixed_sizes_is_refused(tmp_path):
    for index, size in enumerate((64, 32)):
        av.VideoFrame.from_ndarray(numbered(0, size, size), format="rgb24").to_image().save(tmp_path / f"{index}.png")
    with pytest.raises(EX4DError, match=r"1\.png.*32x32.*one size"):
        load_video(tmp_path)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_npz_frames_come_back_exactly(tmp_path, dtype):
    rgb = np.random.default_rng(0).integers(0, 256, (5, 20, 24, 3)).astype(np.uint8)
    np.savez_compressed(tmp_path / "clip.npz", rgb=rgb if dtype == np.uint8 else rgb / np.float32(255))
    clip = load_video(tmp_path / "clip.npz", start=1, count=3, fps=30)
    assert np.array_equal(clip.frames.numpy(), rgb[1:4]) and clip.fps == 30


def random_pictures(frames=12, width=70, height=50):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (frames, height, width, 3)).astype(np.uint8))


CHOICES = [
    {},
    {"start": 3, "count": 4},
    {"fps": 10},
    {"fps": 12.5, "start": 1, "size": (32, 48)},
    {"fps": 75, "count": 20, "size": (64, 64), "fit": "pad"},
    {"size": (128, 112), "fit": "stretch", "count": 2},
]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32, torch.float16])
def test_pictures_in_memory_give_what_their_lossless_file_gives(tmp_path, choice, kind):
    pictures = random_pictures()
    path = write_clip(tmp_path / "a.mkv", pictures.numpy(), rate=Fraction(25), codec="ffv1", pixels="bgr0")
    expected = load_video(path, **choice)
    given = pictures if kind == torch.uint8 else (pictures / 255).to(kind)
    clip = load_video(PicturesInMemory(given, Fraction(25)), **choice)
    assert torch.equal(clip.frames, expected.frames)
    for name in ("fps", "source_frames", "placement", "start_seconds"):
        assert getattr(clip, name) == getattr(expected, name)


def test_pictures_in_memory_that_are_not_shown_are_not_read():
    frames = torch.full((100, 48, 64, 3), float("nan"))
    frames[[40, 50, 60]] = 0.5
    seen = []
    clip = load_video(
        PicturesInMemory(frames, Fraction(20)), fps=2, start=4, count=3, progress=lambda *step: seen.append(step)
    )
    assert clip.source_frames == (40, 50, 60) and int(clip.frames.min()) == int(clip.frames.max()) == 128
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(EX4DError, match="not numbers"):
        load_video(PicturesInMemory(frames, Fraction(20)))
    polls = iter([False, False, True])
    with pytest.raises(Cancelled):
        load_video(PicturesInMemory(frames[40:41].expand(9, -1, -1, -1), Fraction(20)), cancel=lambda: next(polls))


def test_grey_and_transparent_pictures_in_memory():
    pictures = random_pictures()
    grey = load_video(PicturesInMemory(pictures[..., :1], Fraction(15))).frames
    assert torch.equal(grey, pictures[..., :1].expand(-1, -1, -1, 3))
    with_alpha = torch.cat([pictures, pictures[..., :1]], dim=3)
    assert torch.equal(load_video(PicturesInMemory(with_alpha, Fraction(15))).frames, pictures)


@pytest.mark.parametrize(
    ("shape", "rate", "words"),
    [
        ((0, 48, 64, 3), 15, "has shape"),
        ((5, 48, 64), 15, "has shape"),
        ((5, 8, 64, 3), 15, "64x8"),
        ((5, 48, 64, 3), 0, "frame rate"),
    ],
)
def test_pictures_in_memory_that_are_no_clip(shape, rate, words):
    with pytest.raises(EX4DError, match=f"'my clip'.*{words}"):
        load_video(PicturesInMemory(torch.zeros(shape), Fraction(rate), "my clip"))


def test_what_memory_cannot_hold_is_refused_before_a_frame_is_decoded(clip_path, monkeypatch):
    from ex4d_core.machine import memory

    polls = []
    size = 32 * 16 * 3
    monkeypatch.setattr(memory, "total_memory", lambda: 24 * 5 * size - 1)
    choice = {"size": (32, 16), "cancel": lambda: polls.append(1) is not None}
    with pytest.raises(
        EX4DError, match=r"24 frames of 32x16 pixels needs at least .* this machine has .* fewer frames"
    ):
        load_video(clip_path, with_images=True, **choice)
    assert not polls
    # What fits is not refused: fewer frames, no images, a count beyond the end, which has its own message.
    assert len(load_video(clip_path, with_images=True, count=23, **choice)) == 23
    assert len(load_video(clip_path, **choice)) == 24
    with pytest.raises(EX4DError, match="has 24 frames"):
        load_video(clip_path, start=2, count=1000, with_images=True, **choice)
    monkeypatch.setattr(memory, "total_memory", lambda: 24 * 5 * size)
    assert len(load_video(clip_path, with_images=True, **choice)) == 24


def test_a_clip_of_unknown_length_is_refused_once_it_has_grown_too_large(tmp_path, monkeypatch):
    from ex4d_core.machine import memory

    monkeypatch.setattr(memory, "total_memory", lambda: 80 * 48 * 64 * 3)
    path = tmp_path / "live.h264"  # a raw stream says nothing of its length
    write_clip(path, [numbered(i) for i in range(120)])
    assert probe_video(path).frames is None
    with pytest.raises(EX4DError, match="fewer frames"):
        load_video(path)


def test_too_few_frames_is_an_error_that_says_how_many(clip_path):
    with pytest.raises(EX4DError, match="has 24 frames"):
        load_video(clip_path, start=20, count=10)


def test_cancel_and_progress(clip_path):
    seen = []
    load_video(clip_path, count=4, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with pytest.raises(Cancelled):
        load_video(clip_path, cancel=lambda: True)


def test_8k_frames_are_read_at_the_size_asked_for(tmp_path):
    picture = np.zeros((4320, 7680, 3), np.uint8)
    picture[:, :3840] = 200
    path = tmp_path / "8k.png"
    av.VideoFrame.from_ndarray(picture, format="rgb24").to_image().save(path, compress_level=1)
    clip = load_video(tmp_path, size=(128, 128))
    assert clip.frames.shape == (1, 128, 128, 3)
    assert abs(int(clip.frames[0, 64, 20, 0]) - 200) <= 1 and clip.frames[0, 64, 100, 0] == 0


def test_tags_in_another_encoding_are_no_obstacle(tmp_path):
    path = write_clip(tmp_path / "old.mp4", [numbered(i) for i in range(3)], sound=0.1)
    data = path.read_bytes()
    assert b"VideoHandler" in data and b"SoundHandler" in data
    data = data.replace(b"VideoHandler", "VidéoHandler".encode("latin-1"))
    path.write_bytes(data.replace(b"SoundHandler", "SôundHandler".encode("latin-1")))
    assert numbers(load_video(path)) == [0, 1, 2]
    save_video(tmp_path / "new.mp4", load_video(path).frames, 30, audio_from=path)
    assert probe_video(tmp_path / "new.mp4").has_audio


class Broken:
    """A container of PyAV's that fails as some damaged files make it fail."""

    def demux(self, stream):
        yield "packet"
        raise IndexError("list index out of range")

    def seek(self, offset, **choice):
        raise av.error.PermissionError(1, "Operation not permitted")


def test_a_track_that_was_never_announced_is_damage():
    packets = video_file.packets_of(Broken(), None)
    assert next(packets) == "packet"
    with pytest.raises(av.error.FFmpegError, match="a track appears"):
        next(packets)


def test_a_file_that_cannot_be_rewound_is_refused_in_a_sentence(clip_path):
    stream = SimpleNamespace(time_base=Fraction(1, 30))
    with pytest.raises(EX4DError, match="cannot be read again from its beginning"):
        video_file._seek(Broken(), stream, probe_video(clip_path), Fraction(0), Fraction(3))


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_damage_anywhere_is_told_in_a_sentence_or_does_no_harm(tmp_path, kind):
    path = write_clip(tmp_path / f"whole.{kind}", [numbered(i) for i in range(12)], sound=0.4)
    whole, spoiled = path.read_bytes(), tmp_path / f"spoiled.{kind}"
    generator = np.random.default_rng(0)
    told = 0
    for _ in range(60):
        data = bytearray(whole[: generator.integers(len(whole) // 2, len(whole) + 1)])
        for place in generator.integers(0, min(len(data), 3000), 6):
            data[place] = generator.integers(256)
        spoiled.write_bytes(data)
        try:
            load_video(spoiled, size=(32, 32), start=int(generator.integers(12)))
            clip_sound(spoiled, 0.1, 0.2)
        except EX4DError:
            told += 1
    assert told
