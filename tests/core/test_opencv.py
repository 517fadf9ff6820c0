"""OpenCV where it does not load."""

import sys

import pytest

from ex4d_core.errors import EX4DError
from ex4d_core.machine import opencv


def test_an_opencv_that_does_not_load_says_what_to_install(monkeypatch):
    assert opencv.load().__name__ == "cv2"
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(EX4DError, match=r"libgl1.*opencv-python-headless"):
        opencv.load()
