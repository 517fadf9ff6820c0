"""Point maps: what is taken, what is refused, and files that give them back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.pointmap import PointMap, load_pointmap, ply, save_pointmap
from ex4d_core.pointmap.files import UnknownSpace, is_pointmap
from ex4d_core.pointmap.note import Note
from ex4d_core.storage.ply import read_ply, write_ply


def points(frames=3, height=6, width=8):
    return torch.rand((frames, height, width, 3), generator=torch.Generator().manual_seed(0))


def test_what_is_no_number_has_no_point_and_stays_out():
    xyz = points()
    xyz[0, 1, 2, 1] = math.nan
    xyz[2, 3, 4, 0] = math.inf
    known = torch.ones(xyz.shape[:3], dtype=torch.bool)
    known[1, 0, 0] = False
    made = PointMap.from_pictures(xyz, points(), valid=known)
    gone = [tuple(int(v) for v in at) for at in torch.nonzero(~made.valid)]
    assert gone == [(0, 1, 2), (1, 0, 0), (2, 3, 4)] and all(made.points[at].eq(0).all() for at in gone)
    assert torch.equal(made.points[made.valid], xyz[made.valid]) and made.colors.dtype == torch.uint8


def test_pixels_of_a_squeezed_picture_tell_it():
    xyz = torch.rand((1, 480, 720, 3))
    made = PointMap.from_pictures(xyz, xyz, source_size=(1920, 1080))
    assert made.pixel_aspect == pytest.approx(32 / 27) and (made.width, made.height, len(made)) == (720, 480, 1)


@pytest.mark.parametrize(
    ("xyz", "said"),
    [
        (torch.rand(6, 8, 3), "frames, height, width, 3"),
        (torch.rand(3, 6, 8, 4), "frames, height, width, 3"),
        (torch.rand(0, 6, 8, 3), "frames, height, width, 3"),
        ((points() * 255).to(torch.uint8), "Eight bits are too coarse"),
        (torch.full((3, 6, 8, 3), 0.5), "All points of frame 0"),
        (torch.full((3, 6, 8, 3), math.nan), "Frame 0 .* has 0 points of 48 pixels"),
        (torch.cat([points(2), torch.full((1, 6, 8, 3), math.inf)]), "Frame 2 .* has 0 points"),
    ],
)
def test_what_is_no_point_map_is_refused(xyz, said):
    with pytest.raises(EX4DError, match=said):
        PointMap.from_pictures(xyz, points())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colors": torch.rand(3, 6, 9, 3)}, r"have its shape \(3, 6, 8, 3\)"),
        ({"valid": torch.zeros(3, 6, 8, dtype=torch.bool)}, "sky or no number"),
        ({"valid": torch.ones(3, 6, 8)}, "is bool"),
        ({"space": "room"}, "cube, world, camera"),
        ({"fps": 0}, "fps .* between"),
        ({"source_size": (6000, 6)}, "pixel_aspect .* between"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(change, said):
    with pytest.raises(EX4DError, match=said):
        PointMap.from_pictures(**{"xyz": points(), "colors": points(), **change})


def test_a_part_keeps_everything_else():
    whole = PointMap.from_pictures(points(), points(), fps=24, space="world", source_size=(16, 9))
    part = whole.part([2, 0])
    assert torch.equal(part.points, whole.points[[2, 0]]) and torch.equal(part.colors, whole.colors[[2, 0]])
    assert (part.fps, part.space, part.pixel_aspect) == (24, "world", whole.pixel_aspect)
    with pytest.raises(EX4DError, match="frames 0 to 2"):
        whole.part([3])


@pytest.mark.parametrize("space", ["cube", "world", "camera"])
def test_files_give_every_digit_back(tmp_path, space):
    seen = []
    made = PointMap.from_pictures(
        points() - 0.5, points(), valid=points()[..., 0] > 0.2, space=space, fps=23.976, source_size=(16, 9)
    )
    path = save_pointmap(tmp_path / "map.npz", made, progress=lambda *done: seen.append(done))
    again = load_pointmap(path)
    for name in ("points", "valid", "colors"):
        assert torch.equal(getattr(again, name), getattr(made, name)), name
    assert (again.space, again.fps, again.pixel_aspect) == (space, 23.976, made.pixel_aspect)
    assert seen == [(n, 9) for n in range(1, 10)] and is_pointmap(path)


@pytest.mark.parametrize("row", [-1.0, 6.0, math.nan, 1e30])
def test_points_of_a_file_lie_in_its_pixels(tmp_path, row):
    made = PointMap.from_pictures(points(1), points(1))
    frame = ply.PointFrame(made.points[0].numpy(), made.valid[0].numpy(), made.colors[0].numpy())
    file = tmp_path / "a.ply"
    ply.write_frame(file, frame, Note.of(made, 1.0))
    vertices = read_ply(file)[1]
    floats = [(name, "<f4" if name == "row" else kind) for name, kind in vertices.dtype.descr]
    vertices = vertices.astype(floats)
    vertices["row"][7] = row
    write_ply(file, vertices, comments=["of another program"])
    with pytest.raises(EX4DError, match="a point beyond its 8x6 pixels"):
        ply.read_frame(file, Note.of(made, 1.0))


def test_a_cancelled_file_is_not_there(tmp_path):
    with pytest.raises(Cancelled):
        save_pointmap(tmp_path / "map.npz", PointMap.from_pictures(points(), points()), cancel=lambda: True)
    assert not list(tmp_path.iterdir())


def test_files_of_other_tools(tmp_path):
    xyz, colors = points().double().numpy(), points()
    np.savez(tmp_path / "vggt.npz", world_points=xyz, images=colors.movedim(-1, 1).numpy())
    read = load_pointmap(tmp_path / "vggt.npz")
    assert read.space == "world" and read.fps == 15 and read.pixel_aspect == 1
    assert torch.equal(read.colors, (colors * 255 + 0.5).to(torch.uint8))
    np.savez(tmp_path / "dust3r.npz", pts3d=xyz)
    assert not is_pointmap(tmp_path / "dust3r.npz") and not is_pointmap(tmp_path / "none.npz")
    with pytest.raises(UnknownSpace, match=r"cube .*, world .* or camera"):
        load_pointmap(tmp_path / "dust3r.npz")
    with pytest.raises(EX4DError, match="points without colours"):
        load_pointmap(tmp_path / "dust3r.npz", space="world")
    assert load_pointmap(tmp_path / "dust3r.npz", space="world", colors=colors).space == "world"
    np.savez(tmp_path / "depth.npz", depth=xyz[..., 2])
    with pytest.raises(EX4DError, match=r"cube_points, world_points or camera_points.* it holds depth"):
        load_pointmap(tmp_path / "depth.npz")
