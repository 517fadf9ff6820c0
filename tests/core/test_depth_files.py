"""Depth files of every kind give the same depth, on the video's frames and pixel grid."""

from __future__ import annotations

import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from media import numbered, write_clip, write_exr, write_png16

from ex4d_core.depth import depth_from_disparity
from ex4d_core.depth.exr import read_exr
from ex4d_core.depth.files import load_depth, open_depth
from ex4d_core.errors import EX4DError
from ex4d_core.video import load_video

FRAMES, WIDTH, HEIGHT = 6, 64, 48


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("v") / "v.mp4", [numbered(i) for i in range(FRAMES)])


@pytest.fixture(scope="module")
def planes():
    """A tilted plane whose nearest depth tells the frame: 2 + its number."""
    rows = np.linspace(0, 1, HEIGHT, dtype=np.float32)[None, :, None]
    frames = np.arange(FRAMES, dtype=np.float32)[:, None, None]
    return np.broadcast_to(2 + frames + rows, (FRAMES, HEIGHT, WIDTH)).copy()


def test_npz_depth_is_taken_as_it_is(tmp_path, video, planes):
    np.savez(tmp_path / "d.npz", depth=planes)
    depth = load_depth(tmp_path / "d.npz", load_video(video))
    assert np.array_equal(depth.depth.numpy(), planes)
    assert depth.intrinsics is None and depth.disparity_range is None


def test_saved_depth_remembers_the_disparity_that_it_came_from(tmp_path, video, planes):
    from ex4d_core.commands.recon import save_depth

    disparity = 1 / planes
    disparity[0, :2] = 0
    np.savez(tmp_path / "disparity.npz", disparity=disparity)
    clip = load_video(video)
    save_depth(tmp_path / "saved.npz", load_depth(tmp_path / "disparity.npz", clip))
    again = load_depth(tmp_path / "saved.npz", clip)
    assert again.disparity_range == (0, disparity.max()) and again.border_depth == 100
    np.savez(tmp_path / "bad.npz", depth=planes, disparity_range=np.zeros(3))
    with pytest.raises(EX4DError, match=r"disparity_range.*\(3,\)"):
        load_depth(tmp_path / "bad.npz", clip)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float16])
def test_disparity_is_converted_as_published(tmp_path, video, planes, dtype):
    disparity = (planes * 1000).astype(dtype)
    np.savez_compressed(tmp_path / "d.npz", disparity=disparity)
    depth = load_depth(tmp_path / "d.npz", load_video(video))
    expected = depth_from_disparity(np.asarray(disparity, np.float32))
    assert np.array_equal(depth.depth.numpy(), expected.numpy())
    assert depth.disparity_range == (disparity.min(), disparity.max())


def test_the_flag_overrides_the_name(tmp_path, video, planes):
    np.savez(tmp_path / "d.npz", depth=planes)
    depth = load_depth(tmp_path / "d.npz", load_video(video), kind="disparity")
    assert depth.disparity_range == (2, 8)


def test_the_loaded_part_is_picked_from_depth_of_the_whole_clip(tmp_path, video, planes):
    np.savez(tmp_path / "d.npz", depth=planes)
    clip = load_video(video, start=1, count=4)
    assert np.array_equal(load_depth(tmp_path / "d.npz", clip).depth.numpy(), planes[1:5])
    slower = load_video(video, fps=15)
    assert np.array_equal(load_depth(tmp_path / "d.npz", slower).depth.numpy(), planes[::2])
    faster = load_video(video, fps=60, count=4)
    assert np.array_equal(load_depth(tmp_path / "d.npz", faster).depth.numpy(), planes[[0, 0, 1, 1]])


def test_depth_of_the_source_is_not_taken_for_depth_of_a_resampled_part(tmp_path, video, planes):
    np.savez(tmp_path / "d.npz", depth=planes)
    clip = load_video(video, fps=60, count=FRAMES)  # as many frames as the source has, but other ones
    assert np.array_equal(load_depth(tmp_path / "d.npz", clip).depth.numpy(), planes[[0, 0, 1, 1, 2, 2]])


def test_depth_of_only_the_loaded_part_serves_too(tmp_path, video, planes):
    np.savez(tmp_path / "d.npz", depth=planes[1:5])
    clip = load_video(video, start=1, count=4)
    assert np.array_equal(load_depth(tmp_path / "d.npz", clip).depth.numpy(), planes[1:5])


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_depth_follows_the_picture(tmp_path, video, fit):
    # Near where the picture is white: after fitting, the two must still coincide.
    depth = np.full((FRAMES, HEIGHT, WIDTH), 9, np.float32)
    depth[:, : HEIGHT // 2, : WIDTH // 2] = 3
    np.savez(tmp_path / "d.npz", depth=depth)
    clip = load_video(video, count=2, size=(128, 64), fit=fit)
    fitted = load_depth(tmp_path / "d.npz", clip).depth.numpy()
    assert fitted.shape == (2, 64, 128) and set(np.unique(fitted.round(4))) == {3.0, 9.0}
    white = clip.frames[..., 0].numpy() > 150
    assert (white == (fitted < 6)).mean() > 0.97


def test_a_lens_in_the_file_is_carried_to_the_fitted_picture(tmp_path, video, planes):
    np.savez(tmp_path / "d.npz", depth=planes, intrinsics=np.array([[50, 0, 30], [0, 55, 20], [0, 0, 1]]))
    clip = load_video(video, size=(96, 96), fit="crop")  # scaled to 128x96, 16 cut off each side
    lens = load_depth(tmp_path / "d.npz", clip).intrinsics
    assert (lens.fx, lens.fy, lens.cx, lens.cy) == pytest.approx((100, 110, 60 - 16, 40))
    assert (lens.width, lens.height) == (96, 96)


def test_a_lens_in_fortran_order_is_the_same_lens(tmp_path, video, planes):
    matrix = np.array([[50, 0, 30], [0, 55, 20], [0, 0, 1.0]])
    np.savez(tmp_path / "d.npz", depth=planes, K=np.asfortranarray(matrix))
    lens = load_depth(tmp_path / "d.npz", load_video(video)).intrinsics
    np.testing.assert_array_equal(lens.matrix(), matrix)


@pytest.mark.parametrize(
    ("lens", "message"),
    [
        (np.zeros((0, 3)), "shape"),
        (np.tile(np.eye(3), (5, 1, 1)), "shape"),
        (np.full((3, 3), np.nan), "finite"),
        (np.array([["a"] * 3] * 3), "numbers"),
    ],
)
def test_a_lens_that_cannot_be_read_is_refused(tmp_path, video, planes, lens, message):
    np.savez(tmp_path / "d.npz", depth=planes, intrinsics=lens)
    with pytest.raises(EX4DError, match=message):
        load_depth(tmp_path / "d.npz", load_video(video))


def test_a_damaged_lens_is_refused(tmp_path, video, planes):
    np.savez(tmp_path / "d.npz", depth=planes, intrinsics=np.diag([1234.5, 1234.5, 1.0]))
    data = (tmp_path / "d.npz").read_bytes()
    (tmp_path / "d.npz").write_bytes(data.replace(np.float64(1234.5).tobytes(), np.float64(999.0).tobytes()))
    with pytest.raises(EX4DError, match="damaged"):
        load_depth(tmp_path / "d.npz", load_video(video))


def test_depth_in_fortran_order_is_told_how_to_save_it(tmp_path, video, planes):
    np.savez(tmp_path / "d.npz", depth=np.asfortranarray(planes))
    with pytest.raises(EX4DError, match="ascontiguousarray"):
        load_depth(tmp_path / "d.npz", load_video(video))


def test_smaller_maps_of_the_same_picture_are_enlarged_without_smearing(tmp_path, video):
    depth = np.full((FRAMES, HEIGHT // 2, WIDTH // 2), 9, np.float32)
    depth[:, :, : WIDTH // 4] = 3
    np.savez(tmp_path / "d.npz", depth=depth)
    fitted = load_depth(tmp_path / "d.npz", load_video(video)).depth.numpy()
    assert fitted.shape == (FRAMES, HEIGHT, WIDTH) and set(np.unique(fitted.round(4))) == {3.0, 9.0}


def test_pictures_of_unknown_kind_are_told_in_words_that_are_no_flags(tmp_path):
    write_png16(tmp_path / "0.png", np.arange(12).reshape(3, 4))
    with pytest.raises(EX4DError, match=r"Give the kind: disparity .* or depth") as refused, open_depth(tmp_path):
        pass
    assert "--" not in str(refused.value)


def test_a_folder_of_16_bit_pictures(tmp_path, video, planes):
    values = (planes * 5000).astype(np.uint16)
    for index in range(FRAMES):
        write_png16(tmp_path / f"depth_{index + 5}.png", values[index])  # 5 .. 10: natural order matters
    depth = load_depth(tmp_path, load_video(video), kind="depth")
    assert np.array_equal(depth.depth.numpy(), values.astype(np.float32))


@pytest.mark.parametrize(("codec", "pixels"), [("ffv1", "gray16le"), ("ffv1", "yuv420p16le"), ("ffv1", "gray12le")])
def test_a_16_bit_video(tmp_path, video, planes, codec, pixels):
    values = (planes * 400).astype(np.uint16)
    with av.open(str(tmp_path / "d.mkv"), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(30))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        stream.codec_context.color_range = 2
        for index in range(FRAMES):
            frame = av.VideoFrame(WIDTH, HEIGHT, pixels)
            frame.color_range = 2
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            lines = np.zeros((HEIGHT, frame.planes[0].line_size // 2), np.uint16)
            lines[:, :WIDTH] = values[index]
            frame.planes[0].update(lines.tobytes())
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    depth = load_depth(tmp_path / "d.mkv", load_video(video), kind="depth")
    assert np.array_equal(depth.depth.numpy(), values.astype(np.float32))


@pytest.mark.parametrize("compression", ["NO_COMPRESSION", "ZIPS_COMPRESSION", "ZIP_COMPRESSION", "PIZ_COMPRESSION"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("tiled", [False, True])
def test_exr_is_read_exactly(tmp_path, compression, dtype, tiled):
    random = np.random.default_rng(0)
    z = np.round(random.random((37, 23)) * 64).astype(dtype) / 8
    other = random.random((37, 23)).astype(np.float16)
    write_exr(tmp_path / "a.exr", {"Z": z, "A": other, "view.R": other}, compression, tiled)
    assert np.array_equal(read_exr(tmp_path / "a.exr"), z.astype(np.float32))


def test_exr_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(EX4DError, match='pip install "OpenEXR'):
        read_exr(tmp_path / "a.exr")


def test_a_folder_of_exr(tmp_path, video, planes):
    for index in range(FRAMES):
        write_exr(tmp_path / f"{index}.exr", {"R": planes[index], "G": planes[index], "B": planes[index]})
    depth = load_depth(tmp_path, load_video(video), kind="depth")
    assert np.array_equal(depth.depth.numpy(), planes)


def test_exr_written_by_another_program(tmp_path, planes):
    # FFmpeg's own writer: float RGB with ZIP (16 lines) and ZIPS (1 line).
    for name, number in (("zip16", 3), ("zip1", 2)):
        with av.open(str(tmp_path / f"{name}.exr"), "w", format="image2") as container:
            stream = container.add_stream("exr", rate=1, options={"compression": name, "format": "float"})
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "gbrpf32le"
            frame = av.VideoFrame(WIDTH, HEIGHT, "gbrpf32le")
            for plane in frame.planes:
                lines = np.zeros((HEIGHT, plane.line_size // 4), np.float32)
                lines[:, :WIDTH] = planes[0]
                plane.update(lines.tobytes())
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        data = (tmp_path / f"{name}.exr").read_bytes()
        assert data[data.index(b"compression\0compression\0") + 28] == number
        assert np.array_equal(read_exr(tmp_path / f"{name}.exr"), planes[0])


def test_damaged_exr_is_refused(tmp_path, planes):
    write_exr(tmp_path / "a.exr", {"Z": planes[0]})
    data = (tmp_path / "a.exr").read_bytes()
    for bad in (b"", b"text", data[:40], data[:300], data[: len(data) // 2]):
        (tmp_path / "a.exr").write_bytes(bad)
        with pytest.raises(EX4DError, match=r"cut off|not an OpenEXR"):
            read_exr(tmp_path / "a.exr")
    write_exr(tmp_path / "b.exr", {"N": planes[0]})
    with pytest.raises(EX4DError, match="no depth channel; it holds N"):
        read_exr(tmp_path / "b.exr")
