"""The demo command, at a small size."""

from __future__ import annotations

import json
import sys

import pytest
from PIL import Image

from ex4d_core.commands.cli import main
from ex4d_core.mesh import STYLES


def test_demo_writes_videos_sheet_and_table(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)  # OpenCV need not be there
    assert main(["demo", "--output_dir", str(tmp_path / "d"), "--num_frames", "13", "--size", "96x80"]) == 0
    names = {file.name for file in (tmp_path / "d").iterdir()}
    assert names == {
        "camera.json", "color.mp4", "contact_sheet.jpg", "contact_sheet.png", "draft.mp4", "mask.mp4", "psnr.json",
        "side_by_side.mp4",
    }  # fmt: skip
    report = json.loads((tmp_path / "d/psnr.json").read_text())
    for style, least_seen in (("paper", 0.9), ("released", 0.7)):
        rows = report["styles"][style]["frames"]
        assert [round(row["angle"]) for row in rows] == [0, -22, -45, -68, -90, -68, -45, -22, 0, 22, 45, 68, 90]
        inside = [row["psnr_inside"] for row in rows if row["psnr_inside"] is not None]
        assert len(inside) > 8 and min(inside) > 15
        assert report["styles"][style]["source_view"]["seen"] > least_seen
    assert report["styles"]["paper"]["source_view"]["largest_difference"] <= 1
    with Image.open(tmp_path / "d/contact_sheet.png") as sheet, Image.open(tmp_path / "d/contact_sheet.jpg") as small:
        assert sheet.size == small.size == (34 + 7 * 230, 34 + 4 * (round(224 * 80 / 96) + 6))
    printed = capsys.readouterr().out
    assert "PSNR" in printed and "side_by_side.mp4" in printed


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--size", "12"], "like 512x512"),
        (["--size", "8x8"], "64 to 2048"),
        (["--num_frames", "2"], "between 7 and 1000"),
        (["--style", "oil"], ", ".join(STYLES)),
        (["--backend", "pencil"], "numba"),
        (["--device", "meta"], "cpu, cuda"),
    ],
)
def test_bad_flags_are_refused_and_leave_nothing(tmp_path, capsys, monkeypatch, flags, says) -> None:
    monkeypatch.setattr("ex4d_core.demo_scene.DemoScene.clip", None)  # no work is begun
    assert main(["demo", "--output_dir", str(tmp_path / "d"), *flags]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "d").exists()
