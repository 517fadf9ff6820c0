"""One table of camera formats, which everything that names formats repeats; and formats of another kind than ours."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import pytest
from harness import documents

from ex4d_core.camera_io import FORMATS, Cameras, Format, read_suffixes, written_formats
from ex4d_core.commands import recon
from ex4d_core.errors import EX4DError
from ex4d_core.trajectory import Trajectory, load_camera

ROOT = Path(__file__).resolve().parents[2]
POSES = np.tile(np.eye(4), (3, 1, 1))


@pytest.fixture()
def add(monkeypatch):
    """Puts a format into the table for one test."""
    return lambda entry: monkeypatch.setitem(FORMATS, entry.name, entry)


def made_up(name, **fields):
    return Format(**{"name": name, "title": name, "suffixes": (f".{name}",), "used_by": "", "keeps": ""} | fields)


def test_rows_are_complete_and_go_by_their_own_names():
    for name, entry in FORMATS.items():
        assert name == entry.name and entry.title and entry.used_by and entry.keeps
        assert entry.read or entry.write
        assert entry.is_folder or entry.suffixes
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in entry.suffixes)


def test_what_shares_an_ending_can_be_told_apart():
    for suffix in read_suffixes():
        sharing = [entry for entry in FORMATS.values() if entry.read and suffix in entry.suffixes]
        assert sum(entry.looks_like is None for entry in sharing) <= 1, suffix


def test_the_upload_button_offers_what_can_be_read():
    script = (ROOT / "web" / "cameraFiles.js").read_text("utf-8")
    found = re.search(r"const SUFFIXES = '([^']*)'", script)
    assert found and found[1].split(",") == list(read_suffixes())


def test_the_command_line_names_what_can_be_read():
    parser = argparse.ArgumentParser()
    recon.add_arguments(parser)
    (help,) = [action.help for action in parser._actions if "--camera" in action.option_strings]
    assert help.split(": ")[1].split() == list(read_suffixes())


def test_help_page_and_readme_name_every_format():
    page = (documents.DOCS / "EX4DSaveTrajectory.md").read_text("utf-8")
    assert documents.with_formats(page) == page, "python dev.py docs renews it"
    readme = (ROOT / "README.md").read_text("utf-8")
    (line,) = [line for line in readme.splitlines() if "Camera exchange" in line]
    assert not [suffix for suffix in read_suffixes() if suffix not in line]


def test_a_format_may_have_several_endings_and_no_writer(add, tmp_path):
    add(made_up("abc", suffixes=(".abc", ".abca"), read=lambda data, hints: Cameras(POSES, fps=float(data))))
    assert {".abc", ".abca"} <= set(read_suffixes()) and "abc" not in written_formats()
    (tmp_path / "Shot.ABCA").write_bytes(b"30")
    assert load_camera(tmp_path / "Shot.ABCA").fps == 30
    for name, format in (("new.abc", None), ("new.abc", "abc")):
        with pytest.raises(EX4DError, match="unknown camera format"):
            Trajectory(POSES).save(tmp_path / name, format=format)


def test_a_format_may_be_written_only(add, tmp_path):
    add(made_up("jsx", write=lambda cameras: f"{len(cameras.world_to_camera)} cameras".encode()))
    assert ".jsx" not in read_suffixes()
    assert Trajectory(POSES).save(tmp_path / "shot.jsx").read_text() == "3 cameras"
    with pytest.raises(EX4DError, match=r"no camera format ends in '\.jsx'"):
        load_camera(tmp_path / "shot.jsx")


def test_a_format_may_be_a_folder(add, tmp_path):
    (tmp_path / "sparse").mkdir()
    add(
        made_up(
            "slam",
            suffixes=(),
            is_folder=True,
            read=lambda data, hints: Cameras(POSES, fps=float((hints.folder / "poses.txt").read_text())),
            looks_like=lambda data, hints: (hints.folder / "poses.txt").exists(),
        )
    )
    with pytest.raises(
        EX4DError, match=r"sparse: this is none of the camera formats that it could be: COLMAP model .*, slam"
    ):
        load_camera(tmp_path / "sparse")
    (tmp_path / "sparse" / "poses.txt").write_text("24")
    assert load_camera(tmp_path / "sparse").fps == 24
