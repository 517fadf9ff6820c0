"""A run's files appear together or not at all, and messages name what the user knows."""

from __future__ import annotations

import errno
import os

import pytest

from ex4d_core.errors import EX4DError
from ex4d_core.storage import staging
from ex4d_core.storage.staging import staged_file, staged_folder


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def fill(stage):
    for name in "abc":
        (stage / name).write_text("new")


def test_files_arrive_together_and_replace_older_ones(tmp_path):
    (tmp_path / "b").write_text("old")
    with staged_folder(tmp_path) as stage:
        fill(stage)
        assert content(tmp_path) == {"b": "old"}
    assert content(tmp_path) == dict.fromkeys("abc", "new") and len(list(tmp_path.iterdir())) == 3


def test_a_folder_in_the_way_is_told_and_nothing_changes(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").mkdir()
    with pytest.raises(EX4DError, match="b' is a folder"), staged_folder(tmp_path) as stage:
        fill(stage)
    assert content(tmp_path) == {"a": "old"} and len(list(tmp_path.iterdir())) == 2


def test_a_file_that_cannot_be_replaced_brings_the_others_back(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")
    (tmp_path / "c").write_text("held open")
    real = os.replace

    def replace(source, target):
        if str(source) == str(tmp_path / "c"):
            raise PermissionError(errno.EACCES, "in use", str(source), None, str(target))
        real(source, target)

    monkeypatch.setattr(staging.os, "replace", replace)
    with pytest.raises(EX4DError, match="another program") as told, staged_folder(tmp_path) as stage:
        fill(stage)
    assert str(tmp_path / "c") in str(told.value) and staging.STAGE_PREFIX not in str(told.value)
    assert content(tmp_path) == {"a": "old", "c": "held open"} and len(list(tmp_path.iterdir())) == 2


def test_an_error_in_reading_passes_through_as_it_is(tmp_path):
    with pytest.raises(OSError, match="broken drive"), staged_folder(tmp_path / "out"):
        raise OSError(errno.EIO, "broken drive", "/somewhere/video.mp4")
    assert not (tmp_path / "out").exists()


def test_an_error_in_writing_names_the_file_as_the_user_knows_it(tmp_path):
    with pytest.raises(EX4DError) as told, staged_folder(tmp_path / "out") as stage:
        raise PermissionError(errno.EACCES, "no", str(stage / "a"))
    assert f"'{tmp_path / 'out' / 'a'}'" in str(told.value)


def test_a_target_below_a_file_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(EX4DError, match="cannot be written"), staged_file(tmp_path / "file" / "a") as part:
        part.write_text("new")


def test_a_missing_folder_is_told_before_anything_is_written(tmp_path):
    with pytest.raises(EX4DError, match="cannot be written"), staged_file(tmp_path / "no" / "a"):
        raise AssertionError("the work began")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_files_name_is_told_before_anything_is_written(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(EX4DError, match="is a folder"), staged_file(tmp_path / "a"):
        raise AssertionError("the work began")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_folders_made_for_a_file_go_again_when_nothing_comes_of_it(tmp_path):
    (tmp_path / "one").mkdir()
    with pytest.raises(RuntimeError), staged_file(tmp_path / "one" / "two" / "three" / "a", make_folder=True) as part:
        part.write_text("half")
        raise RuntimeError
    assert list((tmp_path / "one").iterdir()) == []
    with staged_file(tmp_path / "one" / "two" / "a", make_folder=True) as part:
        part.write_text("new")
    assert content(tmp_path / "one" / "two") == {"a": "new"}


def test_a_file_that_outlives_a_block_appears_when_it_is_kept(tmp_path):
    (tmp_path / "a").write_text("old")
    staged = staging.StagedFile.begin(tmp_path / "a")
    staged.part.write_text("new")
    assert (tmp_path / "a").read_text() == "old"
    staged.keep()
    staged.drop()
    assert content(tmp_path) == {"a": "new"}


@pytest.mark.parametrize("link", ["same", "spelled", "symlink", "hardlink", "linked folder"])
def test_a_result_that_is_a_source_is_refused_under_every_name(tmp_path, link):
    out = tmp_path / "out"
    out.mkdir()
    source = out / "color_30.mp4"
    source.write_text("film")
    if link == "spelled":
        source = tmp_path / "out" / ".." / "out" / "color_30.mp4"
    elif link == "symlink":
        source = tmp_path / "film.mp4"
        source.symlink_to(out / "color_30.mp4")
    elif link == "hardlink":
        source = tmp_path / "film.mp4"
        os.link(out / "color_30.mp4", source)
    elif link == "linked folder":
        (tmp_path / "other").symlink_to(out)
        out = tmp_path / "other"
    with pytest.raises(EX4DError, match="would be overwritten"):
        staging.check_sources(out, ["mask_30.mp4", "color_30.mp4"], [None, source])
    staging.check_sources(out, ["mask_30.mp4", "new.mp4"], [source, out, tmp_path / "missing.mp4"])
