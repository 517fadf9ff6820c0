"""The published preprocessing uses OpenCV; what replaces it here gives the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.wan.resize import resize
from ex4d_core.wan.videos import read_color_and_mask

cv2 = pytest.importorskip("cv2")

side = st.integers(1, 90)


@given(side, side, side, side, st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_resizing_equals_opencv(height, width, to_height, to_width, colour, seed):
    shape = (2, height, width, 3) if colour else (2, height, width)
    frames = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    expected = np.stack([cv2.resize(frame, (to_width, to_height)) for frame in frames])
    np.testing.assert_array_equal(resize(torch.from_numpy(frames), to_width, to_height).numpy(), expected)


@pytest.mark.parametrize("sizes", [((1080, 1920), (480, 832)), ((512, 512), (256, 256)), ((480, 640), (512, 512))])
def test_resizing_equals_opencv_at_sizes_of_videos(sizes):
    (height, width), (to_height, to_width) = sizes
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    ours = resize(torch.from_numpy(frame)[None], to_width, to_height)[0]
    np.testing.assert_array_equal(ours.numpy(), cv2.resize(frame, (to_width, to_height)))


def write(path: Path, frames: np.ndarray, codec: str, pixels: str, matrix: int | None) -> Path:
    """A video with the colour tag, or with none."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=15)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        if matrix is not None:
            stream.codec_context.colorspace = matrix
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(format=pixels, dst_colorspace=matrix, src_colorspace=None if matrix is None else 9)
            if matrix is not None:
                frame.colorspace = matrix
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_by_opencv(path: Path) -> np.ndarray:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1][..., ::-1])
    return np.stack(frames)


@pytest.fixture()
def frames() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (5, 6, 8, 3), np.uint8)
    return np.stack([cv2.resize(frame, (128, 96)) for frame in coarse])


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mp4", "libx264", "yuv444p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.mkv", "ffv1", "yuv422p"),
    ],
)
def test_untagged_videos_are_read_as_opencv_reads_them(tmp_path, frames, name, codec, pixels):
    path = write(tmp_path / name, frames, codec, pixels, None)
    color, mask = read_color_and_mask(path, path)
    expected = read_by_opencv(path)
    np.testing.assert_array_equal(color.numpy(), expected)
    np.testing.assert_array_equal(mask.numpy(), expected[..., 0])


def test_a_colour_tag_is_followed(tmp_path, frames):
    """BT.709 and BT.601 hold other numbers for one colour."""
    read = {}
    for matrix in (1, 5):
        path = write(tmp_path / f"{matrix}.mkv", frames, "ffv1", "yuv444p", matrix)
        read[matrix] = read_color_and_mask(path, path)[0].int()
        assert (read[matrix] - torch.from_numpy(frames).int()).abs().max() <= 3
    assert (read[1] - read[5]).abs().max() <= 4
