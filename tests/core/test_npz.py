"""Archives are written whole or the writer says that the disk is full."""

from __future__ import annotations

import numpy as np
import pytest

from ex4d_core.errors import EX4DError
from ex4d_core.storage.npz import NpzFrames, NpzWriter


def write(path, compressed=False):
    with NpzWriter(path, compressed=compressed) as archive:
        archive.begin("color", (3, 40, 50), np.uint8)
        for index in range(3):
            archive.write(np.full((40, 50), index, np.uint8))
        archive.array("mask", np.arange(6))


@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_written_frame_by_frame_is_read_by_numpy_and_frame_by_frame(tmp_path, compressed):
    write(tmp_path / "a.npz", compressed)
    archive = np.load(tmp_path / "a.npz")
    assert (archive["color"] == np.arange(3)[:, None, None]).all() and archive["mask"].tolist() == [0, 1, 2, 3, 4, 5]
    with NpzFrames(tmp_path / "a.npz", ("color",)) as frames:
        assert [int(frame[0, 0]) for frame in frames.frames(1)] == [1, 2]


@pytest.mark.parametrize("missing", [1, 30, 3000])
def test_a_write_that_the_disk_takes_only_in_part_is_an_error(tmp_path, missing):
    resource = pytest.importorskip("resource")
    write(tmp_path / "whole.npz")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "whole.npz").stat().st_size - missing, before[1]))
    try:
        with pytest.raises(EX4DError, match="disk is full"):
            write(tmp_path / "cut.npz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
