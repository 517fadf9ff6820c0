"""Boxes of panoramas and stereo in MP4 files, read back by FFmpeg, and files that still play."""

from __future__ import annotations

import struct

import av
import pytest
import torch

from ex4d_core.errors import EX4DError
from ex4d_core.video import Sound, Spherical, load_video, save_video
from ex4d_core.video.spherical import write_spherical

SIZES = {
    ("360", "mono"): (64, 32),
    ("360", "side by side"): (128, 32),
    ("360", "over under"): (64, 64),
    ("180", "mono"): (48, 48),
    ("180", "side by side"): (96, 48),
    ("180", "over under"): (48, 96),
    ("flat", "side by side"): (96, 32),
    ("flat", "over under"): (48, 64),
}
FLAT_EYES = {"mono": 0, "side by side": 1, "over under": 2}
"""FFmpeg's AVStereo3DType (libavutil/stereo3d.h)."""
WHOLE, TILE = 0, 2
"""FFmpeg's AVSphericalProjection (libavutil/spherical.h); a tile is one with bounds."""


def told_by_ffmpeg(path) -> dict[str, tuple[int, ...]]:
    """What FFmpeg's own demuxer and decoder say: projection, turn and bounds; the kind of stereo."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        data = {name: bytes(entry) for name in ("SPHERICAL", "STEREO3D") if (entry := frame.side_data.get(name))}
    told = {}
    if "SPHERICAL" in data:
        told["spherical"] = struct.unpack_from("<i3i4I", data["SPHERICAL"])
    if "STEREO3D" in data:
        told["stereo"] = struct.unpack_from("<i", data["STEREO3D"])
    return told


def frames(size: tuple[int, int], count: int = 3) -> torch.Tensor:
    shades = torch.linspace(0.1, 0.9, count)[:, None, None, None]
    return shades.expand(count, size[1], size[0], 3).contiguous()


@pytest.mark.parametrize(("view", "eyes"), list(SIZES))
def test_ffmpeg_reads_what_was_written(tmp_path, view, eyes):
    path = tmp_path / "vr.mp4"
    save_video(path, frames(SIZES[view, eyes]), 15, spherical=Spherical(view, eyes))
    told = told_by_ffmpeg(path)
    assert told["stereo"] == (FLAT_EYES[eyes],)
    if view == "flat":
        assert "spherical" not in told
    else:
        kind, *rest = told["spherical"]
        side = 2**30 if view == "180" else 0
        assert kind == (TILE if side else WHOLE) and rest == [0, 0, 0, side, 0, side, 0]
    assert abs(int(load_video(path).frames[-1].float().mean()) - 230) < 4


def test_the_index_may_stand_first_and_sound_stays_in_step(tmp_path):
    """Chunk offsets of both tracks move with the index; every packet is the one it was."""
    plain, moved = tmp_path / "plain.mp4", tmp_path / "first.mp4"
    tone = Sound(torch.sin(torch.arange(44100) / 9)[None].repeat(2, 1).numpy(), 44100)
    save_video(plain, frames((64, 32), 15), 15, audio_from=tone)
    with av.open(str(plain)) as source, av.open(str(moved), "w", options={"movflags": "faststart"}) as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    data = moved.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")

    def packets() -> list[bytes]:
        with av.open(str(moved)) as container:
            return [bytes(packet) for packet in container.demux() if packet.size]

    before = packets()
    write_spherical(moved, Spherical("360"))
    assert packets() == before and told_by_ffmpeg(moved)["spherical"][0] == WHOLE
    grown = len(moved.read_bytes()) - len(data)
    assert grown == len(Spherical("360").boxes())
    marked = tmp_path / "marked.mp4"
    save_video(marked, frames((64, 32), 15), 15, audio_from=tone, spherical=Spherical("360"))
    assert load_video(marked).has_audio and len(marked.read_bytes()) == len(plain.read_bytes()) + grown


def test_offsets_of_64_bits_are_moved_too(tmp_path):
    """A hand-made file: index first, co64."""

    def box(kind: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", 8 + len(payload)) + kind + payload

    def file(offset: int, extra: bytes) -> bytes:
        entry = box(b"avc1", bytes(78) + extra)
        table = box(b"stsd", struct.pack(">II", 0, 1) + entry) + box(b"co64", struct.pack(">IIQQ", 0, 2, 3, offset))
        handler = box(b"hdlr", bytes(8) + b"vide" + bytes(12))
        track = box(b"trak", box(b"mdia", handler + box(b"minf", box(b"stbl", table))))
        return box(b"moov", box(b"mvhd", bytes(20)) + track) + box(b"mdat", b"pictures")

    path = tmp_path / "large.mp4"
    plain = file(0, b"")
    offset = plain.index(b"pictures")
    path.write_bytes(file(offset, b""))
    spherical = Spherical("180", "side by side")
    write_spherical(path, spherical)
    added = spherical.boxes()
    assert path.read_bytes() == file(offset + len(added), added)


def test_a_flat_video_of_one_eye_is_left_as_it_is(tmp_path):
    save_video(tmp_path / "a.mp4", frames((64, 48)), 15)
    before = (tmp_path / "a.mp4").read_bytes()
    write_spherical(tmp_path / "a.mp4", Spherical("flat"))
    assert (tmp_path / "a.mp4").read_bytes() == before


@pytest.mark.parametrize(
    ("view", "eyes", "size", "said"),
    [
        ("360", "mono", (64, 48), "of one eye has frames of 2:1, got 64x48"),
        ("180", "side by side", (64, 48), "two eyes side by side has frames of 2:1"),
        ("270", "mono", (64, 48), "360, 180, flat"),
        ("360", "crossed", (64, 48), "side by side, over under"),
    ],
)
def test_bad_input_is_told_and_leaves_nothing(tmp_path, view, eyes, size, said):
    with pytest.raises(EX4DError, match=said):
        save_video(tmp_path / "vr.mp4", frames(size), 15, spherical=Spherical(view, eyes))
    assert not list(tmp_path.iterdir())


def test_files_that_cannot_hold_it_are_told(tmp_path):
    with pytest.raises(EX4DError, match=r"\.mp4 and \.mov"):
        save_video(tmp_path / "vr.mkv", frames((64, 32)), 15, spherical=Spherical())
    for name, content, said in (("a", b"", "no index"), ("b", struct.pack(">I", 8) + b"moov", "no video track")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(EX4DError, match=said):
            write_spherical(tmp_path / name, Spherical())
