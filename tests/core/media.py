"""Small media files with known content, made by PyAV itself rather than by the code under test."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

UPRIGHT = (65536, 0, 0, 65536)


def numbered(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A frame whose grey tells its number (read back by `number_of`), with a white upper left quarter."""
    picture = np.full((height, width, 3), 8 * (index % 24) + 20, np.uint8)
    picture[: height // 2, : width // 2] = 255
    return picture


def number_of(picture) -> int:
    """The number of a `numbered` frame, from its lower right quarter."""
    height, width = picture.shape[:2]
    grey = float(np.asarray(picture)[height // 2 + 4 :, width // 2 + 4 :].mean())
    return round((grey - 20) / 8)


def write_clip(
    path: Path,
    pictures,
    *,
    rate: Fraction = Fraction(30),
    times=None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    matrix: int = 1,
    transfer: int | None = None,
    full_range: bool = False,
    tagged: bool = True,
    pixel_aspect: Fraction | None = None,
    gop: int = 12,
    sound: float = 0.0,
    sound_codec: str = "aac",
    faststart: bool = False,
    interlaced: bool = False,
) -> Path:
    """Encode pictures (H, W, 3) uint8; ``times`` in seconds makes a variable rate, ``sound`` adds that many seconds."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if faststart else {}) as container:
        pictures = list(pictures)
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        stream.gop_size = gop
        if codec == "libx264":
            stream.options = {"crf": "4", "preset": "ultrafast"}
        if interlaced:
            stream.options |= {"x264-params": "tff=1:interlaced=1"}
            stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        context = stream.codec_context
        if pixel_aspect:
            context.sample_aspect_ratio = pixel_aspect
        if tagged:
            context.colorspace = context.color_primaries = matrix
            context.color_range = 2 if full_range else 1
            context.color_trc = transfer or matrix
        if times is not None:
            context.time_base = Fraction(1, 1000)
        audio = container.add_stream(sound_codec, rate=48000) if sound else None
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(
                format=pixels,
                dst_colorspace=5 if matrix in (5, 6) else matrix,
                src_color_range=2,
                dst_color_range=2 if full_range else 1,
                interpolation=0x46004,
            )
            frame.pts = index if times is None else round(times[index] * 1000)
            frame.time_base = 1 / rate if times is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None:
            converter = av.AudioResampler("s16" if sound_codec.startswith("pcm") else "fltp", "stereo", 48000)
            for begin in range(0, int(sound * 48000), 1024):
                # The pitch rises with time, so that a cut shows where it was made.
                t = (np.arange(begin, begin + 1024) / 48000).astype(np.float32)
                wave = 0.5 * np.sin(2 * np.pi * (200 * t + 100 * t * t)).astype(np.float32)
                tone = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
                tone.sample_rate, tone.pts = 48000, begin
                for converted in converter.resample(tone):
                    container.mux(audio.encode(converted))
            container.mux(audio.encode(None))
    return path


def fields_woven(pictures) -> list[np.ndarray]:
    """Interlaced frames: the even rows of one picture with the odd rows of the next, upper field first."""
    pairs = zip(pictures[::2], pictures[1::2], strict=True)
    return [np.where(np.arange(len(first))[:, None, None] % 2, second, first) for first, second in pairs]


def write_sound(path: Path, seconds: float = 0.5) -> Path:
    """A file with sound only."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        for begin in range(0, int(seconds * 48000), 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 48000, begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def set_display_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Rewrite the first track's display matrix of an MP4: stored (x, y) is shown at (a x + c y, b x + d y)."""
    data = bytearray(path.read_bytes())
    plain = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    at = data.index(plain, data.index(b"tkhd"))
    data[at : at + 36] = struct.pack(">9i", a * 65536, b * 65536, 0, c * 65536, d * 65536, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def write_exr(
    path: Path, channels: dict[str, np.ndarray], compression: str = "ZIP_COMPRESSION", tiled: bool = False
) -> Path:
    """An OpenEXR picture of half, float or uint32 channels."""
    import OpenEXR

    header = {
        "compression": getattr(OpenEXR, compression),
        "type": OpenEXR.tiledimage if tiled else OpenEXR.scanlineimage,
    }
    if tiled:
        tiles = OpenEXR.TileDescription()
        tiles.xSize = tiles.ySize = 16
        header["tiles"] = tiles
    with OpenEXR.File(header, channels) as file:
        file.write(str(path))
    return path


def write_png16(path: Path, values: np.ndarray) -> Path:
    """A 16-bit grey PNG."""
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width = values.shape
        stream.pix_fmt = "gray16be"
        frame = av.VideoFrame.from_ndarray(values.astype(np.uint16), format="gray16le").reformat(format="gray16be")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
