"""Depth as other tools write it: the right numbers at the right place, or a question."""

from __future__ import annotations

import logging
from fractions import Fraction

import av
import numpy as np
import pytest
from media import numbered, set_display_matrix, write_clip, write_exr, write_png16
from PIL import Image

from ex4d_core.commands import cli
from ex4d_core.depth.exr import read_exr
from ex4d_core.depth.files import check_depth_file, load_depth, open_depth
from ex4d_core.depth.source import UnknownKind
from ex4d_core.errors import EX4DError
from ex4d_core.video import load_video, probe_video

FRAMES, WIDTH, HEIGHT = 6, 64, 48
LENS = np.array([[50, 0, 32], [0, 60, 24], [0, 0, 1.0]])
SHARES = LENS / [[WIDTH], [HEIGHT], [1]]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("v") / "v.mp4", [numbered(i) for i in range(FRAMES)])


@pytest.fixture(scope="module")
def clip(video):
    return load_video(video)


def planes(frames=FRAMES, width=WIDTH, height=HEIGHT):
    """Tilted planes whose nearest depth tells the frame: 2 + its number."""
    rows = np.linspace(0, 1, height, dtype=np.float32)[None, :, None]
    return np.broadcast_to(
        2 + np.arange(frames, dtype=np.float32)[:, None, None] + rows, (frames, height, width)
    ).copy()


def relative(frames=FRAMES):
    """Disparity from 0 (in the last frame) to 1 (in the first), which each part but the last does not show."""
    nearness = np.linspace(1, 0, frames, dtype=np.float32)[:, None, None]
    return np.broadcast_to(
        nearness * np.linspace(1, 0.5, HEIGHT, dtype=np.float32)[None, :, None], (frames, HEIGHT, WIDTH)
    )


# -- arrays -----------------------------------------------------------------------------------------------------------


def test_relative_maps_under_the_name_depth_are_asked_about_whichever_part_is_used(tmp_path, video):
    np.savez(tmp_path / "d.npz", depth=relative())
    info = probe_video(video)
    for count in (1, 2, None):
        with pytest.raises(UnknownKind, match="from 0 to 1"):
            check_depth_file(tmp_path / "d.npz", None, info, count)
    part = load_video(video, count=2)
    with pytest.raises(UnknownKind):
        load_depth(tmp_path / "d.npz", part)
    near = load_depth(tmp_path / "d.npz", part, kind="disparity").depth
    assert near[0].mean() < near[1].mean(), "a frame with more disparity is nearer"


@pytest.mark.parametrize("scale", [1.0, 255.0, 512.5])
def test_relative_maps_of_any_scale_are_asked_about(tmp_path, video, scale):
    np.savez(tmp_path / "d.npz", depth=relative() * scale)
    with pytest.raises(UnknownKind, match="Give the kind"):
        check_depth_file(tmp_path / "d.npz", None, probe_video(video), None)
    np.savez(tmp_path / "d.npz", depth=0.01 + 0.99 * relative())  # normalised, with a floor
    with pytest.raises(UnknownKind, match=r"from 0\.01 to 1"):
        check_depth_file(tmp_path / "d.npz", None, probe_video(video), None)
    np.savez(tmp_path / "d.npz", depth=0.02 + 0.9 * relative())  # a part of what was normalised
    with pytest.raises(UnknownKind, match=r"from 0\.02 to 0\.92"):
        check_depth_file(tmp_path / "d.npz", None, probe_video(video), None)


def test_the_command_line_asks_for_its_own_flag(tmp_path, video, capfd):
    np.savez(tmp_path / "d.npz", depth=relative())
    words = ["--input_video", str(video), "--depth", str(tmp_path / "d.npz"), "--cam", "30", "--num_frames", "2"]
    words += ["--size", f"{WIDTH}x{HEIGHT}", "--output_dir", str(tmp_path / "out")]
    assert cli.main(["recon", *words]) == cli.BAD_INPUT
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert "--depth_kind disparity" in error and "Give the kind" not in error and not (tmp_path / "out").exists()
    assert cli.main(["recon", *words, "--depth_kind", "disparity"]) == 0


@pytest.mark.parametrize("lens", ["intrinsic", "intrinsics", "K", "cam_intrinsics"])
@pytest.mark.parametrize("name", ["depth", "depths", "pred_depth"])
def test_depth_beside_a_lens_is_depth(tmp_path, clip, name, lens):
    others = {"images": np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8), "cam_c2w": np.tile(np.eye(4), (FRAMES, 1, 1))}
    np.savez(tmp_path / "d.npz", **{name: planes().astype(np.float16), lens: LENS}, **others)
    depth = load_depth(tmp_path / "d.npz", clip)
    np.testing.assert_allclose(depth.depth, planes(), rtol=1e-3)
    np.testing.assert_array_equal(depth.intrinsics.matrix(), LENS)


@pytest.mark.parametrize("name", ["depths", "prediction", "arr_0"])
def test_names_that_say_neither_are_asked_about(tmp_path, clip, name):
    np.savez(tmp_path / "d.npz", **{name: planes()})
    with pytest.raises(UnknownKind, match=f"holds '{name}'"):
        load_depth(tmp_path / "d.npz", clip)
    np.testing.assert_array_equal(load_depth(tmp_path / "d.npz", clip, kind="depth").depth, planes())


@pytest.mark.parametrize("name", ["disparities", "disp", "inverse_depth", "inv_depth"])
def test_names_of_disparity(tmp_path, clip, name):
    np.savez(tmp_path / "d.npz", **{name: 1 / planes()})
    depth = load_depth(tmp_path / "d.npz", clip)
    assert depth.disparity_range is not None and depth.depth[0].mean() < depth.depth[-1].mean()


def test_the_array_of_the_kind_asked_for_is_taken(tmp_path, clip):
    np.savez(tmp_path / "d.npz", depths=planes(), disp=1 / planes() ** 2)
    np.testing.assert_array_equal(load_depth(tmp_path / "d.npz", clip, kind="depth").depth, planes())


@pytest.mark.parametrize("shape", [(FRAMES, HEIGHT, WIDTH, 1), (FRAMES, 1, HEIGHT, WIDTH), (1, FRAMES, HEIGHT, WIDTH)])
def test_an_axis_of_one_is_no_obstacle(tmp_path, clip, shape):
    np.savez(tmp_path / "d.npz", depth=planes().reshape(shape))
    np.testing.assert_array_equal(load_depth(tmp_path / "d.npz", clip).depth, planes())
    np.savez(tmp_path / "d.npz", depth=np.zeros((FRAMES, HEIGHT, WIDTH, 3)))
    with pytest.raises(EX4DError, match="has shape"):
        load_depth(tmp_path / "d.npz", clip)


@pytest.mark.parametrize(
    "lens",
    [
        SHARES,
        np.tile(SHARES, (FRAMES, 1, 1)),
        np.tile(LENS, (1, FRAMES, 1, 1)),
        np.pad(LENS, ((0, 1), (0, 1))),
        LENS[[0, 1, 0, 1], [0, 1, 2, 2]],
        np.tile(LENS[[0, 1, 0, 1], [0, 1, 2, 2]], (FRAMES, 1)),
        LENS * [[30], [30], [1]],  # of the 1920x1440 film that the maps were made from
    ],
)
def test_a_lens_in_shares_of_each_frame_or_of_a_larger_picture(tmp_path, clip, lens):
    np.savez(tmp_path / "d.npz", depth=planes(), intrinsics=lens)
    found = load_depth(tmp_path / "d.npz", clip).intrinsics
    assert (found.fx, found.fy, found.cx, found.cy) == pytest.approx((50, 60, 32, 24))


def test_of_a_zooming_lens_the_first_frame_used_counts(tmp_path, video, caplog):
    lens = np.tile(LENS, (FRAMES, 1, 1))
    lens[:, :2, :2] *= np.arange(1, FRAMES + 1)[:, None, None]
    np.savez(tmp_path / "d.npz", depth=planes(), intrinsics=lens)
    with caplog.at_level(logging.WARNING):
        assert load_depth(tmp_path / "d.npz", load_video(video, start=2, count=2)).intrinsics.fx == pytest.approx(150)
    assert "zooms" in caplog.text


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_npy_is_read_in_either_order_once_its_kind_is_given(tmp_path, clip, order):
    np.save(tmp_path / "d.npy", np.asarray(planes(), order=order))
    with pytest.raises(UnknownKind):
        load_depth(tmp_path / "d.npy", clip)
    np.testing.assert_array_equal(load_depth(tmp_path / "d.npy", clip, kind="depth").depth, planes())
    (tmp_path / "d.npy").write_bytes((tmp_path / "d.npy").read_bytes()[:5000])
    with pytest.raises(EX4DError, match="cut off"):
        load_depth(tmp_path / "d.npy", clip, kind="depth")


def test_what_is_infinitely_far_lies_at_the_border_and_is_said_once(tmp_path, clip, caplog):
    for nothing in (np.inf, 1e10, 65504.0):
        depth = planes() + np.float32(0.564)  # the nearest as in published depth, behind which the plate is at 100
        depth[:, :10] = nothing
        np.savez(tmp_path / "d.npz", depth=depth)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            found = load_depth(tmp_path / "d.npz", clip)
        assert found.depth[:, :10].eq(found.depth.max()).all() and float(found.depth.max()) == pytest.approx(100)
        np.testing.assert_array_equal(found.depth[:, 10:], depth[:, 10:])
        assert caplog.text.count("have no depth") == 1 and found.border_depth >= float(found.depth.max())
    far = planes() * 1000
    far[:, :10] = 1e10
    np.savez(tmp_path / "d.npz", depth=far)
    assert float(load_depth(tmp_path / "d.npz", clip).depth.max()) == pytest.approx(1.05 * 8000)


@pytest.mark.parametrize("focal", [55.0, np.full(FRAMES, 55.0), np.array([55])])
def test_a_focal_length_alone_is_a_lens_in_the_middle(tmp_path, clip, focal):
    np.savez(tmp_path / "d.npz", depth=planes(), focallength_px=focal)
    lens = load_depth(tmp_path / "d.npz", clip).intrinsics
    assert (lens.fx, lens.fy, lens.cx, lens.cy) == (55, 55, 32, 24)


def test_an_npz_a_frame_is_read_with_its_lens(tmp_path, clip):
    (tmp_path / "maps").mkdir()
    for index in range(FRAMES):
        np.savez(tmp_path / "maps" / f"{index}.npz", depth=planes()[index], focallength_px=55.0)
    depth = load_depth(tmp_path / "maps", clip, kind="depth")
    np.testing.assert_array_equal(depth.depth, planes())
    assert depth.intrinsics.fx == 55
    np.savez(tmp_path / "maps" / "0.npz", depth=planes())
    with pytest.raises(EX4DError, match="expected one map"):
        load_depth(tmp_path / "maps", clip, kind="depth")


@pytest.mark.parametrize("suffix", ["pt", "h5", "mat"])
def test_arrays_of_other_programs_are_told_what_to_become(tmp_path, clip, suffix):
    (tmp_path / f"d.{suffix}").write_bytes(bytes(100))
    with pytest.raises(EX4DError, match=r"Save it as \.npz"):
        load_depth(tmp_path / f"d.{suffix}", clip)


# -- maps of the whole film -------------------------------------------------------------------------------------------


def of_the_film(tmp_path, form, maps):
    """A depth file of every form with these maps, and its kind."""
    if form == "npz":
        np.savez(tmp_path / "d.npz", depth=maps)
        return tmp_path / "d.npz"
    if form == "npy":
        np.save(tmp_path / "d.npy", maps)
        return tmp_path / "d.npy"
    folder = tmp_path / "maps"
    folder.mkdir()
    for index, depth in enumerate(maps):
        if form == "png":
            write_png16(folder / f"{index}.png", depth.astype(np.uint16))
        elif form == "exr":
            write_exr(folder / f"{index}.exr", {"Z": depth})
        elif form == "tif":
            Image.fromarray(depth).save(folder / f"{index}.tif")
        elif form == "npy folder":
            np.save(folder / f"{index}.npy", depth[..., None])
        else:
            (folder / f"{index}.pfm").write_bytes(
                b"Pf\n%d %d\n-1.0\n" % depth.shape[::-1] + depth[::-1].astype("<f4").tobytes()
            )
    return folder


@pytest.mark.parametrize("form", ["npz", "npy", "png", "exr", "tif", "npy folder", "pfm"])
def test_every_picture_of_an_uneven_film_has_its_own_map_from_a_late_start(tmp_path, form):
    times = [*np.arange(0, 3, 0.1), *np.arange(3, 4, 0.02)]
    path = write_clip(tmp_path / "vfr.mp4", [numbered(i) for i in range(80)], rate=Fraction(30), times=times)
    film = load_video(path, start=60, count=9)
    assert film.source_frames[0] < 60
    maps = np.arange(80, dtype=np.float32)[:, None, None] + 2 + np.zeros((80, HEIGHT, WIDTH), np.float32)
    maps[:, 0, 0] += 0.5  # one value everywhere is no scene
    depth = load_depth(of_the_film(tmp_path, form, maps), film, kind="depth").depth
    assert depth[:, 20, 20].round().tolist() == [number + 2 for number in film.source_frames]


# -- films of depth ---------------------------------------------------------------------------------------------------


def write_depth_film(path, values, *, pixels="yuv420p10le", codec="libx265", full=None):
    """A film whose luma holds the values as they are."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = values.shape[2], values.shape[1], pixels
        if codec == "libx265":
            stream.options = {"x265-params": "lossless=1:log-level=none"}
        if full is not None:
            stream.codec_context.color_range = 2 if full else 1
        for index, picture in enumerate(values):
            frame = av.VideoFrame(values.shape[2], values.shape[1], pixels)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            lines = np.zeros((values.shape[1], frame.planes[0].line_size // 2), np.uint16)
            lines[:, : values.shape[2]] = picture
            frame.planes[0].update(lines.tobytes())
            frame.pts = index
            if full is not None:
                frame.color_range = 2 if full else 1
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("full", [None, False, True])
def test_a_wall_ten_times_as_far_as_a_box_is_so_in_every_range(tmp_path, clip, suffix, full):
    """Limited range is what YUV means that does not say: black is at 64 of 10 bits, white at 940."""
    black, scale = (0, 1023) if full else (64, 876)
    share = np.full((FRAMES, HEIGHT, WIDTH), 0.8)
    share[:, 10:30, 10:30] = 0.08
    path = write_depth_film(tmp_path / f"d.{suffix}", np.round(black + scale * share).astype(np.uint16), full=full)
    depth = load_depth(path, clip, kind="depth").depth
    assert float(depth[0, 40, 50] / depth[0, 20, 20]) == pytest.approx(10, rel=0.01)
    assert float(depth[0, 40, 50]) == pytest.approx(0.8 * 1023, rel=0.01)


@pytest.mark.parametrize(("codec", "pixels"), [("libx265", "gray10le"), ("ffv1", "gray10le"), ("ffv1", "gray12le")])
def test_grey_has_no_limited_range(tmp_path, clip, codec, pixels):
    """HEVC's header calls it limited where nothing is said; whoever writes grey writes all its values."""
    values = (planes() * 100).astype(np.uint16)
    depth = load_depth(write_depth_film(tmp_path / "d.mkv", values, codec=codec, pixels=pixels), clip, kind="depth")
    np.testing.assert_array_equal(depth.depth, values)


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (0, -1, 1, 0), (-1, 0, 0, -1), (-1, 0, 0, 1), (0, 1, 1, 0)])
def test_a_depth_film_is_turned_as_its_display_matrix_says(tmp_path, matrix):
    """Both films are stored alike and turned alike, so that depth lies on the picture as before."""
    stored = np.full((3, HEIGHT, WIDTH), 3000, np.uint16)
    stored[:, : HEIGHT // 2, : WIDTH // 2] = 900  # the white quarter of `numbered`
    film = set_display_matrix(write_clip(tmp_path / "v.mp4", [numbered(i) for i in range(3)]), *matrix)
    path = write_depth_film(tmp_path / "d.mov", stored // 4, pixels="yuv422p10le", codec="prores_ks", full=True)
    set_display_matrix(path, *matrix)
    upright = load_video(film)
    depth = load_depth(path, upright, kind="depth").depth.numpy()
    assert depth.shape == tuple(upright.frames.shape[:3])
    white = upright.frames[..., 0].numpy() > 150
    assert ((depth < 500) == white).mean() > 0.95


def test_a_depth_film_that_changes_its_size_is_refused(tmp_path, clip):
    pieces = [np.full((3, height, WIDTH), 400, np.uint16) for height in (HEIGHT, 2 * HEIGHT)]
    data = [write_depth_film(tmp_path / f"{i}.ts", piece).read_bytes() for i, piece in enumerate(pieces)]
    (tmp_path / "d.ts").write_bytes(b"".join(data))
    with pytest.raises(EX4DError, match="changes its size from 64x48 to 64x96"):
        load_depth(tmp_path / "d.ts", clip, kind="depth")


def test_depth_pictures_are_turned_by_their_exif(tmp_path):
    values = (planes(1, 48, 64)[0] * 1000).astype(np.uint16)
    values[:20, :10] = 9000
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "maps").mkdir()
    Image.fromarray(np.rot90(values)).save(tmp_path / "maps" / "0.tif", exif=exif)
    Image.fromarray(np.rot90(values).astype(np.float32)).save(tmp_path / "maps" / "1.tiff", exif=exif)
    with open_depth(tmp_path / "maps", "depth") as source:
        for found in source.maps():
            np.testing.assert_array_equal(found, values)


def test_tiff_of_floats_and_of_32_bits_is_read(tmp_path):
    values = np.linspace(0.5, 70000.25, 48 * 64, dtype=np.float32).reshape(48, 64)
    Image.fromarray(values).save(tmp_path / "0.tif")
    Image.fromarray(values).save(tmp_path / "1.tif", compression="tiff_lzw")
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "2.tif")
    with open_depth(tmp_path, "depth") as source:
        plain, packed, whole = source.maps()
    np.testing.assert_array_equal(plain, values)
    np.testing.assert_array_equal(packed, values)
    np.testing.assert_array_equal(whole, np.trunc(values))
    (tmp_path / "0.tif").write_bytes((tmp_path / "0.tif").read_bytes()[:3000])
    with pytest.raises(EX4DError, match="cut off"), open_depth(tmp_path, "depth"):
        pass


@pytest.mark.parametrize(("order", "scale"), [("<f4", b"-1.0"), (">f4", b"1"), ("<f4", b"-0.00392")])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_float_map_is_read_upright_in_either_order(tmp_path, order, scale, channels):
    values = planes(1)[0]
    stored = np.repeat(values[::-1, :, None], channels, axis=2).astype(order)
    head = b"%s\n%d %d\n%s\n" % (b"Pf" if channels == 1 else b"PF", WIDTH, HEIGHT, scale)
    (tmp_path / "0.pfm").write_bytes(head + stored.tobytes())
    with open_depth(tmp_path, "depth") as source:
        np.testing.assert_array_equal(next(source.maps()), values)
    (tmp_path / "0.pfm").write_bytes((head + stored.tobytes())[:-1])
    with pytest.raises(EX4DError, match="cut off"), open_depth(tmp_path, "depth"):
        pass


# -- EXR --------------------------------------------------------------------------------------------------------------


def write_windows(path, pixels, data, display):
    """An EXR of one Z channel whose data window begins at ``data`` (x, y) in a display window (x, y, width, height)."""
    import OpenEXR

    x, y, width, height = display
    size = pixels.shape[::-1]
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "dataWindow": (np.array(data, np.int32), np.array([data[0] + size[0] - 1, data[1] + size[1] - 1], np.int32)),
        "displayWindow": (np.array([x, y], np.int32), np.array([x + width - 1, y + height - 1], np.int32)),
    }
    with OpenEXR.File(header, {"Z": np.ascontiguousarray(pixels)}) as file:
        file.write(str(path))


@pytest.mark.parametrize("origin", [(0, 0), (7, -3)])
@pytest.mark.parametrize(
    "data", [(-8, -6, 80, 60), (10, 5, 20, 30), (-8, 5, 30, 60), (40, 30, 60, 40), (200, 200, 8, 8)]
)
def test_a_data_window_is_placed_in_the_display_window(tmp_path, data, origin):
    left, top, width, height = data
    pixels = (np.arange(height)[:, None] * 1000 + np.arange(width)[None] + 1).astype(np.float32)
    window = (left + origin[0], top + origin[1])
    write_windows(tmp_path / "a.exr", pixels, window, (*origin, WIDTH, HEIGHT))
    found = read_exr(tmp_path / "a.exr")
    assert found.shape == (HEIGHT, WIDTH)
    for row, column in ((0, 0), (10, 12), (20, 25), (40, 50), (47, 63), (34, 21)):
        inside = 0 <= row - top < height and 0 <= column - left < width
        assert found[row, column] == (pixels[row - top, column - left] if inside else np.inf)
    assert read_exr(tmp_path / "a.exr", nothing=0).min() == 0 or np.isfinite(found).all()


def test_a_cropped_render_lies_where_it_was_rendered(tmp_path, clip, caplog):
    (tmp_path / "maps").mkdir()
    for index in range(FRAMES):
        write_windows(tmp_path / "maps" / f"{index}.exr", planes()[index, 10:40, 8:40], (8, 10), (0, 0, WIDTH, HEIGHT))
    depth = load_depth(tmp_path / "maps", clip, kind="depth").depth.numpy()
    np.testing.assert_array_equal(depth[:, 10:40, 8:40], planes()[:, 10:40, 8:40])
    border = np.float32(1.05 * depth[:, 10:40, 8:40].max())
    assert (depth[:, :10] == border).all() and (depth[:, :, 40:] == border).all()


@pytest.mark.parametrize(
    ("channels", "chosen"),
    [
        (("Image.R", "Image.G", "Image.B", "Image.A", "Depth.V"), "Depth.V"),
        (("R", "G", "B", "Depth.X"), "Depth.X"),
        (("R", "G", "B", "A", "depth"), "depth"),
        (("R", "G", "B", "Z"), "Z"),
        (("R", "G", "B", "zdepth.R"), "zdepth.R"),
        (
            (
                "ViewLayer.Combined.R",
                "ViewLayer.Depth.Z",
                "ViewLayer.Normal.X",
                "ViewLayer.Normal.Y",
                "ViewLayer.Normal.Z",
            ),
            "ViewLayer.Depth.Z",
        ),
        (("ViewLayer.Depth.V", "ViewLayer.Normal.X", "ViewLayer.Normal.Y", "ViewLayer.Normal.Z"), "ViewLayer.Depth.V"),
        (("ViewLayer.Denoising Depth.Z", "ViewLayer.Depth.Z"), "ViewLayer.Depth.Z"),
        (("N.X", "N.Y", "N.Z", "Y"), "Y"),
        (("left.Z", "left.R"), "left.Z"),
        (("R", "G", "B"), "R"),
        (("V",), "V"),
    ],
)
def test_the_depth_layer_of_a_renderer_comes_before_its_picture(tmp_path, channels, chosen):
    write_exr(tmp_path / "a.exr", {name: np.full((20, 30), i + 1, np.float32) for i, name in enumerate(channels)})
    assert read_exr(tmp_path / "a.exr")[0, 0] == channels.index(chosen) + 1


def test_a_part_named_depth_is_a_layer(tmp_path):
    import OpenEXR

    def part(name, channel, value):
        return OpenEXR.Part({}, {channel: np.full((20, 30), value, np.float32)}, name)

    with OpenEXR.File([part("rgba", "R", 0.5), part("depth", "V", 4.0)]) as file:
        file.write(str(tmp_path / "a.exr"))
    assert read_exr(tmp_path / "a.exr")[0, 0] == 4


def test_normals_alone_are_no_depth(tmp_path):
    write_exr(tmp_path / "a.exr", {f"Normal.{axis}": np.full((20, 30), 1, np.float32) for axis in ("N1", "N2")})
    with pytest.raises(EX4DError, match="no depth channel"):
        read_exr(tmp_path / "a.exr")
