"""Sound lies where its time stamps put it, whatever the track looks like."""

from __future__ import annotations

import contextlib
from fractions import Fraction

import av
import numpy as np
import pytest
from media import numbered, write_clip

from ex4d_core.errors import Cancelled
from ex4d_core.video import clip_sound, load_video, save_video

RATE = 48000
PACKET = 960
"""Samples; 20 ms, which Matroska's milliseconds can express."""


def noise(seconds, channels=2, seed=0, rate=RATE):
    """Samples (channels, n) in which every shift shows."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (channels, round(seconds * rate))).astype(np.float32)


def write_track(path, pieces, *, codec="pcm_f32le", rate=RATE, unit=None, frames=60):
    """A clip of 30 fps with pieces of sound (time in seconds, samples), in packets of 960 samples.

    ``unit`` rounds the time stamps to 1/unit seconds.
    """
    pictures = write_clip(path.with_suffix(".video.mkv"), [numbered(i) for i in range(frames)])
    with av.open(str(pictures)) as source, av.open(str(path), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        layout = "mono" if len(pieces[0][1]) == 1 else "stereo"
        audio = target.add_stream(codec, rate=rate)
        audio.layout = layout
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                target.mux(packet)
        for time, samples in pieces:
            for begin in range(0, samples.shape[1], PACKET):
                part = np.ascontiguousarray(samples[:, begin : begin + PACKET].T.reshape(1, -1))
                frame = av.AudioFrame.from_ndarray(part, format="flt", layout=layout)
                frame.sample_rate = rate
                at = Fraction(round(time * rate) + begin, rate)
                frame.pts, frame.time_base = round(at * (unit or rate)), Fraction(1, unit or rate)
                target.mux(audio.encode(frame))
        target.mux(audio.encode(None))
    return path


def sound_of(path, **choice):
    clip = load_video(path, **choice)
    return clip_sound(str(path), clip.start_seconds, len(clip) / clip.fps)


def test_sound_that_begins_after_the_pictures_is_late(tmp_path):
    tone = noise(1.0)
    samples, rate = sound_of(write_track(tmp_path / "late.mkv", [(0.5, tone)]))
    assert rate == RATE and samples.shape == (2, 2 * RATE) and samples.dtype == np.float32
    assert not samples[:, : RATE // 2].any() and not samples[:, -RATE // 2 :].any()
    assert np.array_equal(samples[:, RATE // 2 : -RATE // 2], tone)


@pytest.mark.parametrize(("start", "count"), [(20, 30), (45, 10)])
def test_a_gap_in_the_track_stays_a_gap(tmp_path, start, count):
    first, second = noise(0.6), noise(0.6, seed=1)
    path = write_track(tmp_path / "gap.mkv", [(0.1, first), (1.3, second)])
    whole = np.zeros((2, 2 * RATE), np.float32)
    whole[:, RATE // 10 : RATE // 10 + first.shape[1]] = first
    begin = round(1.3 * RATE)
    whole[:, begin : begin + second.shape[1]] = second
    samples, _ = sound_of(path, start=start, count=count)
    begin = round(start / 30 * RATE)
    assert np.array_equal(samples, whole[:, begin : begin + round(count / 30 * RATE)])


@pytest.mark.parametrize("rate", [44100, 32000])
def test_rounded_time_stamps_do_not_click(tmp_path, rate):
    # Matroska's milliseconds are up to 22 samples off those of 960/44100 seconds.
    tone = noise(2.0, channels=1, rate=rate)
    samples, found = sound_of(write_track(tmp_path / "rounded.mkv", [(0, tone)], rate=rate, unit=1000))
    assert found == rate and np.array_equal(samples, tone)


def test_time_that_drifts_is_followed(tmp_path):
    # A recorder whose sound card runs 1% slow: after two seconds the sound would be 20 ms early.
    parts = [(i * 1.01 * PACKET / RATE, noise(PACKET / RATE, seed=i)) for i in range(90)]
    samples, _ = sound_of(write_track(tmp_path / "drift.mkv", parts))
    at = round(parts[80][0] * RATE)
    window = samples[:, at - 500 : at + 500 + PACKET]
    lags = [float((window[:, k : k + PACKET] * parts[80][1]).sum()) for k in range(1000)]
    assert abs(int(np.argmax(lags)) - 500) <= 0.011 * RATE


def packets_of(path, seconds, channels, rate):
    """AAC packets with ADTS headers of a steady sound in the range of 0.5."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate)
        stream.layout = layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
        t = np.arange(round(seconds * rate)) / rate
        wave = np.repeat((0.5 * np.sin(2 * np.pi * 440 * t))[None].astype(np.float32), channels, axis=0)
        for begin in range(0, wave.shape[1], 1024):
            part = np.ascontiguousarray(wave[:, begin : begin + 1024])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate, begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_broadcast(path, *parts):
    """A transport stream of 2 s of pictures, whose sound is a chain of (seconds, channels, rate)."""
    pictures = write_clip(path.with_suffix(".video.mkv"), [numbered(i) for i in range(60)])
    files = [packets_of(path.with_suffix(f".{i}.aac"), *part) for i, part in enumerate(parts)]
    with contextlib.ExitStack() as stack:
        source, *sounds = (stack.enter_context(av.open(str(file))) for file in (pictures, *files))
        target = stack.enter_context(av.open(str(path), "w"))
        video = target.add_stream_from_template(source.streams.video[0])
        audio = target.add_stream_from_template(sounds[0].streams.audio[0])
        packets, begin = [], Fraction(0)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                packets.append((packet.dts * packet.time_base, packet))
        for sound, (seconds, _, rate) in zip(sounds, parts, strict=True):
            for number, packet in enumerate(sound.demux(audio=0)):
                time = begin + Fraction(1024 * number, rate)
                if packet.size and time < begin + Fraction(seconds):
                    packet.time_base = Fraction(1, 90000)
                    packet.pts = packet.dts = round(time * 90000)
                    packet.stream = audio
                    packets.append((time, packet))
            begin += Fraction(seconds)
        for _, packet in sorted(packets, key=lambda item: item[0]):
            target.mux(packet)
    return path


def level(samples, begin, end):
    """Root mean square of each channel between two moments."""
    return np.sqrt((samples[:, round(begin * RATE) : round(end * RATE)] ** 2).mean(1))


@pytest.mark.parametrize(("channels", "rate"), [(1, RATE), (1, 44100), (6, RATE)])
def test_a_track_that_changes_its_layout_or_rate_is_brought_to_the_first(tmp_path, channels, rate):
    path = write_broadcast(tmp_path / "air.ts", (1.0, 2, RATE), (1.0, channels, rate))
    samples, found = sound_of(path)
    assert found == RATE and samples.shape == (2, 2 * RATE)
    assert level(samples, 0.2, 0.8) == pytest.approx([0.354, 0.354], abs=0.02)
    after = level(samples, 1.2, 1.8)
    # Mono keeps its level; centre and surround are added to the sides.
    assert after == pytest.approx([0.354, 0.354], abs=0.02) if channels == 1 else (after > 0.5).all()
    crossings = (np.diff(np.signbit(samples[0, round(1.2 * RATE) : round(1.8 * RATE)])) != 0).sum()
    assert crossings == pytest.approx(2 * 440 * 0.6, abs=2)


def test_surround_becomes_stereo(tmp_path):
    # ComfyUI saves a VIDEO's sound as mono or stereo whatever it has.
    samples, _ = sound_of(write_broadcast(tmp_path / "film.ts", (2.0, 6, RATE)))
    assert samples.shape == (2, 2 * RATE) and (level(samples, 0.5, 1.5) > 0.3).all()


def with_damage(path, target, damaged):
    """A copy whose sound packets of those numbers are noise."""
    with av.open(str(path)) as source, av.open(str(target), "w") as container:
        streams = {stream.index: container.add_stream_from_template(stream) for stream in source.streams}
        number = 0
        for packet in source.demux():
            if packet.dts is None:
                continue
            stream = streams[packet.stream.index]
            if packet.stream.type == "audio":
                if number in damaged:
                    broken = av.Packet(b"\xff\x5a\x13\xc7" * 40)
                    broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
                    packet = broken
                number += 1
            packet.stream = stream
            container.mux(packet)
    return target


def test_damage_in_the_sound_is_silence_and_what_follows_is_in_time(tmp_path, caplog):
    whole = write_track(tmp_path / "a.mkv", [(0, noise(2.0))], codec="aac")
    good, _ = sound_of(whole)
    samples, _ = sound_of(with_damage(whole, tmp_path / "b.mkv", range(40, 50)))
    assert "damaged" in caplog.text and "silence stands in" in caplog.text
    assert samples.shape == good.shape
    assert not samples[:, round(0.9 * RATE) : round(1.03 * RATE)].any()
    assert np.array_equal(samples[:, : round(0.8 * RATE)], good[:, : round(0.8 * RATE)])
    # After the gap it starts from a time in Matroska's milliseconds, and AAC adds noise of its own.
    rest, near = samples[0, round(1.15 * RATE) : -100], good[0, round(1.15 * RATE) - 100 :]
    likeness = [np.corrcoef(rest, near[k : k + len(rest)])[0, 1] for k in range(200)]
    assert max(likeness) > 0.5 and abs(int(np.argmax(likeness)) - 100) <= 24


def test_sound_of_which_nothing_is_whole_is_left_out(tmp_path, caplog):
    whole = write_track(tmp_path / "a.mkv", [(0, noise(2.0))], codec="aac")
    assert sound_of(with_damage(whole, tmp_path / "b.mkv", range(1000))) is None
    assert "damaged" in caplog.text and "left out" in caplog.text


def test_no_sound_in_the_part_or_the_file(tmp_path, caplog):
    path = write_track(tmp_path / "short.mkv", [(0, noise(0.5))])
    assert sound_of(path, start=30) is None
    assert clip_sound(str(write_clip(tmp_path / "mute.mp4", [numbered(0)] * 3)), 0.0, 0.1) is None
    assert not caplog.text


def test_a_late_part_of_a_long_track_is_reached_by_seeking(tmp_path):
    tone = noise(20.0, channels=1)
    path = write_track(tmp_path / "long.mkv", [(0, tone)], frames=600)
    packets = []
    samples, _ = clip_sound(str(path), 15.0, 1.0, lambda: packets.append(1) is not None)
    assert np.array_equal(samples, tone[:, 15 * RATE : 16 * RATE]) and len(packets) < 200


def test_cancelling(tmp_path):
    path = write_track(tmp_path / "a.mkv", [(0, noise(0.5))])
    with pytest.raises(Cancelled):
        clip_sound(str(path), 0.0, 0.5, lambda: True)


@pytest.mark.parametrize("start", [0, 10])
def test_sound_encoded_anew_keeps_its_time(tmp_path, start):
    """0.5 s late and with a gap from 0.8 to 1.2 s."""
    tone = np.repeat(0.5 * np.sin(2 * np.pi * 440 * np.arange(round(0.3 * RATE)) / RATE)[None], 2, axis=0)
    tone = tone.astype(np.float32)
    path = write_track(tmp_path / "late.mkv", [(0.5, tone), (1.2, tone)])
    clip = load_video(path, start=start)
    save_video(tmp_path / "a.mp4", clip.frames, clip.fps, audio_from=clip)
    samples, _ = sound_of(tmp_path / "a.mp4")
    loud = np.flatnonzero(np.abs(samples[0]) > 0.2) / RATE + start / 30
    gaps = np.flatnonzero(np.diff(loud) > 0.1)
    edges = [loud[0], loud[gaps[0]], loud[gaps[0] + 1], loud[-1]]
    assert len(gaps) == 1 and edges == pytest.approx([0.5, 0.8, 1.2, 1.5], abs=0.03)


def test_a_track_that_changes_its_layout_is_encoded_as_one(tmp_path):
    path = write_broadcast(tmp_path / "air.ts", (1.0, 2, RATE), (1.0, 1, 44100))
    clip = load_video(path)
    save_video(tmp_path / "a.mp4", clip.frames, clip.fps, audio_from=clip)
    samples, _ = sound_of(tmp_path / "a.mp4")
    assert level(samples, 0.2, 0.8) == pytest.approx([0.354, 0.354], abs=0.03)
    assert level(samples, 1.2, 1.8) == pytest.approx([0.354, 0.354], abs=0.03)
