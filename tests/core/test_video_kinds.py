"""Films as recorders, cameras and editors write them: every picture is there, in order, at its time, and upright."""

from __future__ import annotations

import contextlib
import io
import logging
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from media import number_of, numbered, write_clip, write_png16
from PIL import Image

from ex4d_core.errors import EX4DError
from ex4d_core.video import load_video, probe_video
from ex4d_core.video.timeline import Timeline, timeline_of


def numbers(clip):
    return [number_of(frame) for frame in clip.frames]


def repeated(count, begin=0):
    """The numbers of so many `numbered` frames."""
    return [index % 24 for index in range(begin, begin + count)]


def write_times(path, times, *, codec="libx264", pixels="yuv420p", tick=Fraction(1, 1000), container=None, **options):
    """`numbered` frames at times in seconds."""
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, pixels, 10
        stream.codec_context.time_base = tick
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(numbered(index), format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = round(time / tick), tick
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def without_element(data: bytes, identifier: bytes) -> bytes:
    """A Matroska file whose elements of a short kind are turned into Void, so that no program sees them."""
    at = data.find(identifier)
    while at >= 0:
        size = data[at + len(identifier)] & 0x7F  # sizes below 127 take one byte
        void = b"\xec" + bytes([0x80 | (len(identifier) + size - 1)])
        data = data[:at] + void + bytes(len(identifier) + 1 + size - 2) + data[at + len(identifier) + 1 + size :]
        at = data.find(identifier, at + 1)
    return data


# -- rates ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live_webm(tmp_path_factory):
    """As a browser's recorder writes it: jittering milliseconds, neither rate nor length."""
    generator = np.random.default_rng(3)
    times = np.cumsum([0.0, *generator.uniform(0.026, 0.041, 79)])
    path = tmp_path_factory.mktemp("live") / "live.webm"
    write_times(path, times, codec="libvpx", container={"live": "1"}, deadline="realtime", **{"auto-alt-ref": "0"})
    path.write_bytes(without_element(path.read_bytes(), b"\x23\xe3\x83"))  # DefaultDuration
    return path, times


def test_a_film_without_a_rate_has_the_rate_of_its_pictures_and_shows_each_once(live_webm):
    path, times = live_webm
    info = probe_video(path)
    assert info.fps == pytest.approx(79 / (times[-1] - times[0]), rel=1e-3)
    assert (info.frames, info.pictures) == (80, 80)
    clip = load_video(path)
    assert numbers(clip) == repeated(80) and clip.source_frames == tuple(range(80))
    late = load_video(path, start=66, count=10)
    assert numbers(late) == repeated(10, 66) and late.source_frames == tuple(range(66, 76))


def test_a_live_film_in_memory_is_read_like_its_file(live_webm):
    path, _ = live_webm
    stream = io.BytesIO(path.read_bytes())
    assert probe_video(stream).pictures == 80
    stream.seek(0)
    assert numbers(load_video(stream, start=66, count=5)) == repeated(5, 66)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_after_a_late_start_the_number_of_every_picture_is_still_true(tmp_path, suffix):
    times = [*np.arange(0, 6, 0.1), *np.arange(6, 8, 0.02)]  # 60 at 10 a second, then 100 at 50
    path = write_times(tmp_path / f"vfr.{suffix}", times)
    clip = load_video(path, fps=25, start=140, count=20)  # 5.6 s to 6.4 s
    assert numbers(clip) == [number % 24 for number in clip.source_frames]
    assert clip.source_frames[0] == 56 and clip.source_frames[-1] == 78


def test_a_pause_neither_slows_a_film_down_nor_hides_its_first_picture(tmp_path, caplog):
    times = [*np.arange(0, 2, 1 / 30), *np.arange(40, 42, 1 / 30)]
    path = write_times(tmp_path / "pause.mp4", times, tick=Fraction(1, 90000))
    with caplog.at_level(logging.WARNING):
        clip = load_video(path, count=49)
    assert clip.fps == pytest.approx(30) and numbers(clip) == repeated(49)
    assert "stands still" in caplog.text
    resumed = load_video(path, start=1200, count=5)
    assert resumed.source_frames == (60, 61, 62, 63, 64) and numbers(resumed) == repeated(5, 60)


def test_a_pause_in_a_film_of_a_stated_rate_is_told_where_it_is_met(tmp_path, caplog):
    path = write_times(tmp_path / "pause.mkv", [*np.arange(30) / 30, *(5 + np.arange(30) / 30)])
    with caplog.at_level(logging.WARNING):
        clip = load_video(path)
    assert clip.fps == 30 and numbers(clip)[:30] == repeated(30) and clip.source_frames[-1] == 59 and len(clip) == 180
    assert caplog.text.count("stands still") == 1
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        load_video(path, start=20, count=20)
    assert caplog.text.count("stands still") == 1


def test_a_gif_that_holds_a_picture_keeps_its_rate(tmp_path):
    pictures = [Image.fromarray(numbered(i)) for i in range(12)]
    durations = [100] * 6 + [3000] + [100] * 5
    pictures[0].save(tmp_path / "hold.gif", save_all=True, append_images=pictures[1:], duration=durations)
    clip = load_video(tmp_path / "hold.gif")
    assert clip.fps == pytest.approx(10)
    assert clip.source_frames[:7] == tuple(range(7)) and clip.source_frames.count(6) == 30
    assert clip.source_frames[-5:] == (7, 8, 9, 10, 11)


def test_the_rate_of_a_timeline_is_that_of_its_moving_pictures():
    tick = Fraction(1, 1000)
    ms = lambda *steps: Timeline([sum(steps[:i]) * tick for i in range(len(steps) + 1)], None, tick)  # noqa: E731
    assert ms(33, 33, 34, 33, 33, 34).pace().rate == 30  # rounded milliseconds mean the usual rate
    assert ms(*[42, 41, 42] * 20).pace().rate == pytest.approx(24)
    held = ms(*[40] * 20, 4000, *[40] * 20).pace()
    assert (held.rate, held.pauses, held.length) == (25, (4,), Fraction(5640, 1000))
    assert ms(*[100] * 20, *[20] * 20).pace().pauses == ()
    assert not ms(*[100] * 20, *[20] * 20).is_steady(Fraction(17)) and ms(30, 36, 33).is_steady(Fraction(30))
    assert timeline_of([], tick, "h264") is None
    assert Timeline([Fraction(0), Fraction(10**9)], None, tick).pace().rate == Fraction(1, 10**9), "never 0"


class Packet(bytes):
    """What a timeline reads of a packet."""

    pts, duration, is_discard, size = 0, 33, False, 1


def packet(pts, first=0x10, **facts):
    made = Packet([first])
    made.__dict__.update(pts=pts, **facts)
    return made


def test_only_packets_that_are_shown_are_pictures():
    tick = Fraction(1, 1000)
    hidden = packet(34, first=0x01)  # VP8's picture that others are made from, a tick before the next
    outside = packet(-33, is_discard=True)  # cut off by the container's edit list
    packets = [packet(0), outside, packet(67), hidden, packet(33), packet(None), packet(100, size=0)]
    assert timeline_of(packets, tick, "vp8").stamps == [0, 33 * tick, 67 * tick]
    assert len(timeline_of(packets, tick, "h264")) == 4


# -- lengths ----------------------------------------------------------------------------------------------------------


def with_duration(path, box: bytes, offset: int, ticks: int):
    """Rewrite the length that an MP4's header box tells."""
    data = bytearray(path.read_bytes())
    at = data.index(box) + 4 + offset
    data[at : at + 4] = struct.pack(">I", ticks)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("ticks", [1000, 2**31])
def test_the_count_of_samples_comes_before_a_wrong_length(tmp_path, ticks):
    path = write_clip(tmp_path / "wrong.mp4", [numbered(i) for i in range(60)])
    with_duration(path, b"mdhd", 16, ticks)
    info = probe_video(path)
    assert (info.fps, info.frames, info.pictures) == (30, 60, 60)
    assert numbers(load_video(path)) == repeated(60)
    assert numbers(load_video(path, start=50)) == repeated(10, 50)


@pytest.mark.parametrize("seconds", [0.4, 9.0])
def test_a_wrong_length_of_a_matroska_file_is_no_damage(tmp_path, caplog, seconds):
    path = tmp_path / "wrong.mkv"
    data = write_clip(path, [numbered(i) for i in range(60)]).read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # Duration, a double, in milliseconds
    data = data[:at] + struct.pack(">d", 1000 * seconds) + data[at + 8 :]
    told = b"00:00:%012.9f" % seconds
    path.write_bytes(data.replace(b"00:00:02.000000000", told))
    assert probe_video(path).frames == round(30 * seconds), "the header is still right, so this tests nothing"
    with caplog.at_level(logging.WARNING):
        assert numbers(load_video(path)) == repeated(60)
    assert ("ends after 60 frames" in caplog.text) == (seconds > 2)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(EX4DError, match="cut off") if seconds > 2 else contextlib.nullcontext():
        load_video(path)


def test_the_length_of_an_avi_that_was_never_closed_is_that_of_its_pictures(tmp_path):
    path = tmp_path / "crashed.avi"
    data = bytearray(write_clip(path, [numbered(i) for i in range(60)], codec="mjpeg", pixels="yuvj420p").read_bytes())
    for box, offset in ((b"avih", 24), (b"strh", 40)):  # where each header counts the frames
        at = data.index(box) + offset
        data[at : at + 4] = bytes(4)
    path.write_bytes(data)
    assert probe_video(path, thorough=True).pictures == 60
    assert numbers(load_video(path)) == repeated(60)


def test_an_estimated_length_is_no_limit(tmp_path, monkeypatch):
    from ex4d_core.commands.recon_flags import check_length
    from ex4d_core.commands.recon_job import ClipJob

    path = write_times(tmp_path / "short.mpg", np.arange(49) / 25, codec="mpeg2video", tick=Fraction(1, 25))
    info = probe_video(path)
    assert info.pictures is None and info.frames < 49, "the estimate is exact, so this tests nothing"
    check_length(ClipJob(str(path), 0, 49, None, (64, 48), "crop"), info)
    with pytest.raises(EX4DError, match="has 49 frames"):
        check_length(ClipJob(str(path), 0, 50, None, (64, 48), "crop"), info)
    assert len(load_video(path, count=49)) == 49


# -- joined pieces ----------------------------------------------------------------------------------------------------


def transport_stream(path, count, first):
    """A piece whose pictures are numbered from ``first`` on."""
    return write_clip(path, [numbered(first + i) for i in range(count)], gop=8).read_bytes()


def shifted_clock(data: bytes, seconds: float) -> bytes:
    """A transport stream whose times, in the 33 bits of PES headers and clock references, are moved."""
    data = bytearray(data)

    def move(at, keep):
        value = (data[at] >> 1 & 7) << 30 | data[at + 1] << 22 | (data[at + 2] >> 1) << 15 | data[at + 3] << 7
        value = (value | data[at + 4] >> 1) + round(seconds * 90000) & (1 << 33) - 1
        data[at] = keep | (value >> 30 & 7) << 1 | 1
        data[at + 1], data[at + 2] = value >> 22 & 255, (value >> 15 & 127) << 1 | 1
        data[at + 3], data[at + 4] = value >> 7 & 255, (value & 127) << 1 | 1

    for begin in range(0, len(data), 188):
        payload = begin + 4
        if data[begin + 3] & 0x20:
            length = data[payload]
            if length and data[payload + 1] & 0x10:
                base = int.from_bytes(data[payload + 2 : payload + 7], "big") >> 7
                base = base + round(seconds * 90000) & (1 << 33) - 1
                rest = data[payload + 6] & 0x7F
                data[payload + 2 : payload + 7] = (base << 7 | rest).to_bytes(5, "big")
            payload += 1 + length
        if data[begin + 1] & 0x40 and data[payload : payload + 4] in (b"\0\0\1\xe0",):
            flags = data[payload + 7] >> 6
            if flags & 2:
                move(payload + 9, data[payload + 9] & 0xF0)
            if flags == 3:
                move(payload + 14, data[payload + 14] & 0xF0)
    return bytes(data)


@pytest.mark.parametrize("jump", [0.0, -0.7, -1.0, 5.0, 3600.0, 20000.0])
def test_joined_transport_streams_give_every_picture_of_every_piece(tmp_path, caplog, jump):
    """The second piece's clock starts again where the first one's did, moved ahead or back."""
    first = transport_stream(tmp_path / "a.ts", 40, 0)
    second = transport_stream(tmp_path / "b.ts", 36, 40)
    assert shifted_clock(second, 0) == second
    (tmp_path / "joined.ts").write_bytes(first + shifted_clock(second, jump + 40 / 30))
    with caplog.at_level(logging.WARNING):
        clip = load_video(tmp_path / "joined.ts")
    assert numbers(clip) == repeated(76)
    info = probe_video(tmp_path / "joined.ts", thorough=True)
    assert (info.frames, info.pictures) == (76, 76)
    assert jump == 0 or "jumps" in caplog.text
    late = load_video(tmp_path / "joined.ts", start=66, count=5)
    assert numbers(late) == repeated(5, 66) and late.source_frames == (66, 67, 68, 69, 70)


@pytest.mark.parametrize("suffix", ["mkv", "flv"])
def test_a_clock_that_runs_on_is_still_sought_in(tmp_path, suffix):
    path = write_clip(tmp_path / f"long.{suffix}", [numbered(i) for i in range(150)], gop=15)
    decoded = []
    clip = load_video(path, start=120, count=5, cancel=lambda: decoded.append(1) is not None)
    assert numbers(clip) == repeated(5, 120) and clip.source_frames == tuple(range(120, 125))
    assert len(decoded) < 60


def test_lost_packets_of_a_transport_stream_cost_only_the_pictures_beside_them(tmp_path, caplog):
    noise = np.random.default_rng(0).integers(0, 8, (60, 48, 64, 3)).astype(np.uint8)
    data = write_clip(tmp_path / "a.ts", [numbered(i) + noise[i] for i in range(60)], gop=10).read_bytes()
    middle = len(data) // 2 // 188 * 188
    (tmp_path / "lossy.ts").write_bytes(data[:middle] + data[middle + 20 * 188 :])
    with caplog.at_level(logging.WARNING):
        clip = load_video(tmp_path / "lossy.ts")
    assert "breaks" in caplog.text
    shown = numbers(clip)
    assert len(clip) >= 45 and shown[:20] == repeated(20) and shown[-1] == 59 % 24


# -- several tracks, animations ---------------------------------------------------------------------------------------


def write_tracks(path, tracks):
    """Video tracks of (width, height, frames, colour) one beside the other; the number is in `numbered`'s way."""
    with av.open(str(path), "w") as file:
        streams = []
        for width, height, count, codec in tracks:
            stream = file.add_stream(codec, rate=30)
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            streams.append((stream, count))
        for stream, count in streams:
            for index in range(count):
                frame = av.VideoFrame.from_ndarray(numbered(index, stream.width, stream.height), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 30)
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    if path.suffix == ".mov":  # every track is enabled, as cameras write it; PyAV enables the first
        path.write_bytes(path.read_bytes().replace(b"tkhd\0\0\0\2", b"tkhd\0\0\0\3"))
    return path


@pytest.mark.parametrize(
    "tracks",
    [
        [(48, 32, 1, "mjpeg"), (96, 64, 20, "libx264")],
        [(96, 64, 20, "libx264"), (48, 32, 1, "mjpeg")],
        [(48, 32, 20, "libx264"), (96, 64, 20, "libx264")],
        [(192, 128, 1, "mjpeg"), (96, 64, 20, "libx264")],
    ],
)
@pytest.mark.parametrize("suffix", ["mov", "mkv"])
def test_the_film_is_taken_and_not_its_preview(tmp_path, tracks, suffix):
    if suffix == "mkv" and tracks[0][2] == 1 and tracks[0][0] > 96:
        pytest.skip("Matroska does not count a track's pictures in its header")
    clip = load_video(write_tracks(tmp_path / f"two.{suffix}", tracks))
    assert clip.frames.shape[1:3] == (64, 96) and numbers(clip) == repeated(20)


@pytest.mark.parametrize("lossless", [True, False])
def test_an_animated_webp_is_a_film(tmp_path, lossless):
    pictures = [Image.fromarray(numbered(i)) for i in range(12)]
    path = tmp_path / "film.webp"
    durations = [40] * 5 + [400] + [40] * 6
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=durations, lossless=lossless, quality=95)
    info = probe_video(path)
    assert (info.fps, info.frames, info.pictures) == (25, 21, 12)
    clip = load_video(path)
    assert numbers(clip) == [0, 1, 2, 3, 4] + [5] * 10 + [6, 7, 8, 9, 10, 11]
    assert numbers(load_video(path, start=16, count=3)) == [7, 8, 9]
    stream = io.BytesIO(path.read_bytes())
    assert numbers(load_video(stream, count=3)) == [0, 1, 2]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(EX4DError, match="damaged or cut off"):
        load_video(path)


# -- turned pictures --------------------------------------------------------------------------------------------------

TURNS = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""EXIF's orientation to Pillow's Transpose that makes a picture upright."""
UNDO = {None: None, 0: 0, 1: 1, 2: 4, 3: 3, 4: 2, 5: 5, 6: 6}


def held(index: int, orientation: int) -> tuple[Image.Image, Image.Exif]:
    """A `numbered` square picture as a camera held that way stores it, and its EXIF."""
    picture = Image.fromarray(numbered(index, 64, 64))
    undo = UNDO[TURNS[orientation]]
    picture = picture if undo is None else picture.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Camera"
    return picture, exif


@pytest.mark.parametrize("suffix", ["jpg", "tif", "png", "webp"])
def test_every_picture_of_a_folder_is_turned_by_its_own_exif(tmp_path, suffix):
    order = [1, 3, 8, 6, 2, 5, 4, 7, 1]
    for index, orientation in enumerate(order):
        picture, exif = held(index, orientation)
        options = {"quality": 95} if suffix in ("jpg", "webp") else {}
        picture.save(tmp_path / f"{index}.{suffix}", exif=exif, **options)
    frames = load_video(tmp_path).frames.numpy()
    for index, frame in enumerate(frames):
        # The white quarter is upper left, the number lower right, whatever way the camera was held.
        assert frame[8:24, 8:24].min() > 200 and number_of(frame) == index, order[index]


def test_pictures_of_one_upright_size_may_be_stored_upright_or_lying(tmp_path):
    upright = Image.fromarray(numbered(1, 48, 64))
    upright.save(tmp_path / "0.jpg", quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "1.jpg", exif=exif, quality=95)
    assert numbers(load_video(tmp_path)) == [1, 1]
    exif[0x0112] = 1
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "1.jpg", exif=exif, quality=95)
    with pytest.raises(EX4DError, match="64x48 pixels, the first picture 48x64"):
        load_video(tmp_path)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_photo_given_as_a_film_is_upright_too(tmp_path, orientation):
    """Newer FFmpeg attaches EXIF to the decoded picture, beside the turn, and PyAV has no name for it."""
    picture, exif = held(5, orientation)
    picture.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    frame = load_video(tmp_path / "photo.jpg").frames[0].numpy()
    with av.open(str(tmp_path / "photo.jpg")) as file:
        told = next(file.decode(video=0)).rotation
    if orientation != 1 and not told:
        pytest.skip("this FFmpeg does not read a film's EXIF")
    assert frame[8:24, 8:24].min() > 200 and number_of(frame) == 5


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_tiff_of_every_compression_shows_its_picture(tmp_path, compression, mode):
    """FFmpeg takes JPEG within TIFF for something else, and gives black pictures without a word."""
    for index in (1, 2):
        picture = Image.fromarray(numbered(index)).convert(mode)
        picture.save(tmp_path / f"{index}.tif", compression=compression)
    clip = load_video(tmp_path)
    assert numbers(clip) == [1, 2] and clip.frames[0, 4, 4].min() > 230


@pytest.mark.parametrize("suffix", ["avif", "jp2", "tga"])
def test_further_kinds_of_pictures_are_read(tmp_path, suffix):
    for index in (1, 2):
        Image.fromarray(numbered(index)).save(tmp_path / f"{index}.{suffix}")
    assert numbers(load_video(tmp_path)) == [1, 2]


def test_a_folder_of_other_files_says_what_is_in_it(tmp_path):
    for name in ("0.exr", "1.exr", "notes.txt"):
        (tmp_path / name).touch()
    with pytest.raises(EX4DError, match=r"holds no pictures, but files in \.exr, \.txt"):
        load_video(tmp_path)


def test_bare_data_of_a_codec_has_the_codec_s_rate(tmp_path):
    with av.open(str(tmp_path / "drone.h264"), "w", format="h264") as file:
        stream = file.add_stream("libx264", rate=Fraction(50))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(12):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(index), format="rgb24")))
        file.mux(stream.encode(None))
    clip = load_video(tmp_path / "drone.h264")
    assert clip.fps == 50 and numbers(clip) == repeated(12)


def test_a_trimmed_film_begins_where_its_edit_list_says(tmp_path):
    """Phones trim by hiding pictures that later ones need."""
    whole = write_clip(tmp_path / "whole.mp4", [numbered(i) for i in range(60)], gop=30)
    with av.open(str(whole)) as source, av.open(str(tmp_path / "trimmed.mp4"), "w") as file:
        film = source.streams.video[0]
        target = file.add_stream_from_template(film)
        for packet in source.demux(film):
            if packet.dts is not None:
                shift = round(Fraction(20, 30) / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, target
                file.mux(packet)
    info = probe_video(tmp_path / "trimmed.mp4")
    assert (info.frames, info.pictures) == (40, 40)
    assert numbers(load_video(tmp_path / "trimmed.mp4")) == repeated(40, 20)
    assert load_video(tmp_path / "trimmed.mp4", start=36).source_frames == (36, 37, 38, 39)


def test_a_film_in_fragments_is_read_whole_and_from_late(tmp_path):
    """As browsers and streams write MP4: the header counts nothing."""
    container = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    path = write_times(tmp_path / "fragments.mp4", np.arange(90) / 30, container=container)
    assert numbers(load_video(path)) == repeated(90)
    late = load_video(path, start=80, count=5)
    assert late.source_frames == (80, 81, 82, 83, 84) and numbers(late) == repeated(5, 80)


def test_a_value_of_exif_that_means_nothing_turns_nothing(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 9
    Image.fromarray(numbered(3)).save(tmp_path / "0.jpg", exif=exif, quality=95)
    write_png16(tmp_path / "1.png", np.full((48, 64), 20000))
    assert numbers(load_video(tmp_path))[0] == 3
