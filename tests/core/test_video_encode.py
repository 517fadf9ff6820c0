"""Encoded files are exact in size, rate and colour, carry the sound, and appear whole or not at all."""

from __future__ import annotations

import errno
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from media import numbered, write_clip

from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.video import VideoWriter, load_video, probe_video, save_video

ROOT = Path(__file__).resolve().parents[2]


def smooth(height, width, frames=3):
    y, x = np.mgrid[0:height, 0:width]
    wave = np.stack([np.sin(x / 20), np.cos(y / 25), np.sin((x + y) / 30)], -1) * 60 + 128
    return np.stack([wave + 2 * i for i in range(frames)]).astype(np.uint8)


@pytest.mark.parametrize("size", [(48, 64), (64, 48), (34, 18), (47, 63), (33, 40)])
def test_the_size_is_exact_odd_or_even(tmp_path, size):
    frames = smooth(*size)
    save_video(tmp_path / "a.mp4", frames, 15)
    clip = load_video(tmp_path / "a.mp4")
    assert clip.frames.shape == frames.shape
    assert np.abs(clip.frames.numpy().astype(int) - frames).mean() < 1.5
    with av.open(str(tmp_path / "a.mp4")) as container:
        even = size[0] % 2 == size[1] % 2 == 0
        assert container.streams.video[0].codec_context.pix_fmt == ("yuv420p" if even else "yuv444p")


@pytest.mark.parametrize("fps", [15, 30, 29.97, 23.976, 12.5, Fraction(60000, 1001), 1, 120])
def test_the_rate_is_exact(tmp_path, fps):
    save_video(tmp_path / "a.mp4", smooth(16, 16, 7), fps)
    info = probe_video(tmp_path / "a.mp4")
    meant = {29.97: Fraction(30000, 1001), 23.976: Fraction(24000, 1001)}.get(fps, Fraction(fps))
    assert info.fps == meant and info.frames == 7 and info.start_time == 0


def test_colours_are_tagged_bt709_limited_and_true(tmp_path):
    colours = np.array([(200, 30, 60), (40, 180, 90), (30, 70, 220), (255, 255, 255), (0, 0, 0)], np.uint8)
    frames = np.broadcast_to(colours[:, None, None], (5, 32, 32, 3))
    save_video(tmp_path / "a.mp4", frames, 10)
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
        assert [int(tag) for tag in tags] == [1, 1, 1, 1]
        # Black and white lie at 16 and 235: limited range in the samples, not only in the tag.
        luma = [int(np.frombuffer(frame.planes[0], np.uint8)[5]) for frame in container.decode(video=0)]
        assert luma[3:] == [235, 16]
    mean = load_video(tmp_path / "a.mp4").frames.float().mean((1, 2)).numpy()
    assert np.abs(mean - colours).max() < 2


def test_lossless_keeps_every_value(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (4, 31, 33, 3)).astype(np.uint8)
    save_video(tmp_path / "a.mp4", frames, 15, lossless=True)
    assert np.array_equal(load_video(tmp_path / "a.mp4").frames.numpy(), frames)


def test_masks_stay_black_and_white(tmp_path):
    mask = torch.zeros(3, 32, 48, dtype=torch.bool)
    mask[:, 8:20, 10:30] = True
    for variant in (mask, mask.float(), mask.to(torch.uint8) * 255):
        save_video(tmp_path / "m.mp4", variant, 15)
        grey = load_video(tmp_path / "m.mp4").frames
        assert torch.equal(grey[..., 0] > 127, mask) and int(grey.float().std(-1).max()) == 0


def test_float_and_uint8_frames_are_the_same_film(tmp_path):
    frames = smooth(128, 128)
    save_video(tmp_path / "a.mp4", frames, 15)
    save_video(tmp_path / "b.mp4", torch.from_numpy(frames).float() / 255, 15)
    save_video(tmp_path / "c.mp4", (frame for frame in frames), 15)
    a, b, c = (load_video(tmp_path / f"{name}.mp4").frames for name in "abc")
    assert torch.equal(a, b) and torch.equal(a, c)


def sound_of(path):
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None, None
        frames = list(container.decode(audio=0))
        samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
        return frames[0].pts * frames[0].time_base, samples


def pitch(samples, at, rate=48000):
    """Frequency in Hz around a moment, from zero crossings."""
    part = samples[int((at - 0.05) * rate) : int((at + 0.05) * rate)]
    return (np.diff(np.signbit(part)) != 0).sum() / 2 / 0.1


@pytest.mark.parametrize(("name", "codec"), [("copied.mp4", "aac"), ("converted.mkv", "pcm_s16le")])
def test_sound_is_cut_to_the_clip(tmp_path, name, codec):
    source = write_clip(tmp_path / name, [numbered(i) for i in range(60)], sound=2.0, sound_codec=codec)
    clip = load_video(source, start=30, count=15)
    assert clip.has_audio
    save_video(tmp_path / "cut.mp4", clip.frames, clip.fps, audio_from=clip)
    begin, samples = sound_of(tmp_path / "cut.mp4")
    assert 0 <= begin < 0.03 and abs(len(samples) / 48000 - 0.5) < 0.05
    # The pitch rises by 200 Hz a second: at 0.25 s into the cut it is that of 1.25 s into the source.
    assert abs(pitch(samples, 0.25 - float(begin)) - (200 + 200 * 1.25)) < 12


def test_a_whole_file_gives_its_sound(tmp_path):
    source = write_clip(tmp_path / "talk.mp4", [numbered(i) for i in range(30)], sound=1.0)
    save_video(tmp_path / "a.mp4", load_video(source).frames, 30, audio_from=source)
    begin, samples = sound_of(tmp_path / "a.mp4")
    assert begin < 0.03 and abs(len(samples) / 48000 - 1) < 0.05


def rewritten(path, old, new):
    """The file with one name of a codec replaced."""
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    return path


def test_sound_of_an_unknown_codec_is_left_out_with_a_warning(tmp_path, caplog):
    source = write_clip(tmp_path / "talk.mkv", [numbered(i) for i in range(6)], sound=0.2)
    rewritten(source, b"A_AAC", b"A_XYZ")
    save_video(tmp_path / "a.mp4", load_video(source).frames, 30, audio_from=source)
    assert sound_of(tmp_path / "a.mp4") == (None, None) and "sound" in caplog.text


def write_wav(path, rate, seconds=0.5):
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        tone = 10000 * np.sin(2 * np.pi * 400 * np.arange(int(seconds * rate)) / rate)
        file.writeframes(tone.astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("rate", [192000, 5512, 44100])
def test_sound_at_a_rate_that_aac_lacks_is_resampled(tmp_path, rate):
    save_video(tmp_path / "a.mp4", smooth(32, 32, 15), 30, audio_from=write_wav(tmp_path / "a.wav", rate))
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.audio[0].codec_context.sample_rate == (44100 if rate == 44100 else 48000)
    begin, samples = sound_of(tmp_path / "a.mp4")
    assert abs(pitch(samples, 0.25 - float(begin), 44100 if rate == 44100 else 48000) - 400) < 12


@pytest.mark.parametrize(("target", "codec"), [("a.mov", "aac"), ("a.mp4", "opus"), ("a.mkv", "opus")])
def test_opus_is_copied_only_where_the_container_takes_it(tmp_path, target, codec):
    source = write_clip(tmp_path / "talk.mkv", [numbered(i) for i in range(15)], sound=0.5, sound_codec="libopus")
    save_video(tmp_path / target, load_video(source).frames, 30, audio_from=source)
    with av.open(str(tmp_path / target)) as container:
        assert container.streams.audio[0].codec_context.name in (codec, f"lib{codec}")
    _, samples = sound_of(tmp_path / target)
    assert abs(len(samples) / 48000 - 0.5) < 0.06


def test_a_damaged_sound_packet_becomes_silence(tmp_path, monkeypatch):
    from ex4d_core.video import audio

    source = write_clip(tmp_path / "a.mkv", [numbered(i) for i in range(30)], sound=1.0, sound_codec="pcm_s16le")
    real, seen = audio.AudioCarrier._write, []

    class Damaged:
        def __init__(self, packet):
            self.packet = packet

        def decode(self):
            raise av.error.InvalidDataError(1, "damaged")

        def __getattr__(self, name):
            return getattr(self.packet, name)

    def write(self, packet):
        seen.append(packet)
        real(self, Damaged(packet) if 10 <= len(seen) < 20 else packet)

    monkeypatch.setattr(audio.AudioCarrier, "_write", write)
    save_video(tmp_path / "a.mp4", load_video(source).frames, 30, audio_from=source)
    begin, samples = sound_of(tmp_path / "a.mp4")
    assert abs(len(samples) / 48000 - 1) < 0.05
    assert np.abs(samples[int(0.27 * 48000) : int(0.33 * 48000)]).max() < 0.02
    assert abs(pitch(samples, 0.75 - float(begin)) - (200 + 200 * 0.75)) < 12


def test_silence_stays_silent(tmp_path):
    source = write_clip(tmp_path / "mute.mp4", [numbered(i) for i in range(3)])
    save_video(tmp_path / "a.mp4", load_video(source).frames, 30, audio_from=source)
    assert sound_of(tmp_path / "a.mp4") == (None, None)


def test_cancelling_leaves_nothing_and_keeps_the_older_file(tmp_path):
    target = tmp_path / "a.mp4"
    target.write_bytes(b"older")
    polls = iter([False, False, True])
    with pytest.raises(Cancelled):
        save_video(target, smooth(32, 32, 5), 15, cancel=lambda: next(polls))
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"] and target.read_bytes() == b"older"


def test_an_error_in_progress_passes_through_and_leaves_nothing(tmp_path):
    def stop(done, total):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        save_video(tmp_path / "a.mp4", smooth(32, 32), 15, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames"),
        ([np.zeros((32, 32, 3), np.uint8), np.zeros((32, 48, 3), np.uint8)], "one size"),
        ([np.full((32, 32, 3), np.nan, np.float32)], "NaN"),
        ([np.zeros((32, 32, 4), np.uint8)], "shape"),
        ([np.zeros((4, 4, 3), np.uint8)], "16 to 8192"),
    ],
)
def test_bad_frames_are_refused_and_leave_nothing(tmp_path, frames, message):
    with pytest.raises(EX4DError, match=message):
        save_video(tmp_path / "a.mp4", frames, 15)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_bad_rates_are_refused(tmp_path, fps):
    with pytest.raises(EX4DError, match="frame rate"):
        save_video(tmp_path / "a.mp4", smooth(16, 16), fps)


class FullDisk:
    """A file that takes so many bytes and no more."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 20, 3000])
def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch, room):
    import builtins

    real = builtins.open
    monkeypatch.setattr(builtins, "open", lambda path, mode="r", *a, **k: FullDisk(real(path, mode, *a, **k), room))
    frames = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3)).astype(np.uint8)
    with pytest.raises(EX4DError, match="disk is full"):
        save_video(tmp_path / "a.mp4", frames, 15)
    assert list(tmp_path.iterdir()) == []


def test_a_real_size_limit_is_reported_the_same_way(tmp_path):
    resource = pytest.importorskip("resource")
    program = (
        "import resource, sys, numpy as np\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({20000}, {resource.RLIM_INFINITY}))\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from ex4d_core.video import save_video\n"
        "from ex4d_core.errors import EX4DError\n"
        "frames = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3)).astype(np.uint8)\n"
        "try:\n"
        f"    save_video({str(tmp_path / 'a.mp4')!r}, frames, 15)\n"
        "except EX4DError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240)
    assert "disk is full" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_folders_made_for_a_video_go_again_when_it_is_given_up(tmp_path):
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "new" / "a.mp4", 15) as writer:
        writer.write(smooth(32, 32, 1)[0])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_writer_streams(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 15) as writer:
        for frame in smooth(32, 32, 4):
            writer.write(frame)
        assert not (tmp_path / "a.mp4").exists()
    assert len(load_video(tmp_path / "a.mp4")) == 4 and len(list(tmp_path.iterdir())) == 1
