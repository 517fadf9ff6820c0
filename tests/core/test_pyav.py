"""What PyAV gives, whichever release: rates and ticks become fractions in one place, and tags in any encoding are read past."""

from __future__ import annotations

import ast
import re
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import pytest
from media import numbered, write_clip

from ex4d_core.errors import EX4DError
from ex4d_core.video import load_video, probe_video, pyav, save_video, video_file
from ex4d_core.video.sampling import exact_rate

ROOT = Path(__file__).resolve().parents[2]
RATIOS = {"average_rate", "guessed_rate", "base_rate", "framerate", "sample_aspect_ratio", "display_aspect_ratio"}


AVRational = getattr(av, "AVRational", Fraction)
"""PyAV has it from 18.1 on and gives it from 19 on: no Fraction, and neither rounded nor made positive."""


class Given:
    """An object of PyAV's whose fractions are given as PyAV 19 does, unset ones as 0/1."""

    def __init__(self, wrapped) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str):
        value = getattr(self._wrapped, name)
        if name not in RATIOS | {"time_base"}:
            return value
        return AVRational(0, 1) if value is None else AVRational(value.numerator, value.denominator)


@pytest.mark.parametrize("kind", [Fraction, AVRational])
def test_set_values_become_fractions(kind):
    value = pyav.fraction(kind(30000, 1001))
    assert type(value) is Fraction and value == Fraction(30000, 1001)


@pytest.mark.skipif(AVRational is Fraction, reason="a PyAV without AVRational")
def test_every_unset_value_is_none():
    assert [
        pyav.fraction(unset) for unset in (None, Fraction(0), AVRational(), AVRational(1, 0), AVRational(0, 0))
    ] == [None] * 5


def test_rates_of_pyav_are_taken_as_they_are(tmp_path):
    assert type(exact_rate(AVRational(30000, 1001))) is Fraction
    save_video(tmp_path / "a.mp4", [numbered(0)] * 3, AVRational(30000, 1001))
    assert probe_video(tmp_path / "a.mp4").fps == Fraction(30000, 1001)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.h264"])
def test_a_film_is_described_alike_whichever_way_fractions_are_given(name, tmp_path):
    path = write_clip(tmp_path / name, [numbered(i) for i in range(5)], rate=Fraction(25), pixel_aspect=Fraction(4, 3))
    info = probe_video(path)
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
        stream, frame = Given(container.streams.video[0]), Given(first)
        assert video_file._describe(container, stream, frame, None, info.path) == info
        assert video_file._header_is_sure(container, stream) == name.endswith(".mp4")
        assert video_file._frame_time(frame, stream) == (None if name == "a.h264" else 0)
        shown = video_file._shown_for(frame, Fraction(1, 25))
    assert isinstance(shown, Fraction) and info.fps == 25 and info.display_width == 85


def test_tags_that_are_no_utf8_are_read_past(tmp_path):
    path = tmp_path / "tagged.mkv"
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        container.metadata["title"] = "TITLE"
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    assert data.count(b"TITLE") >= 1
    path.write_bytes(data.replace(b"TITLE", b"\xc0\xe2\xf2\xee\xf0"))
    with video_file.open_container(path) as container:
        assert len(container.metadata["title"]) == 5
    assert probe_video(path).size == (64, 48)


def test_a_pyav_without_a_say_on_tags_is_not_asked(monkeypatch):
    """PyAV 19 has neither the argument nor the attribute."""
    monkeypatch.setattr("av.container.InputContainer", object)
    monkeypatch.setattr(av, "open", lambda file, mode: (file, mode))
    assert pyav.open_for_reading("clip.mp4") == ("clip.mp4", "r")


def test_a_decoder_that_cannot_be_opened_is_told(tmp_path):
    path = write_clip(tmp_path / "a.mkv", [numbered(i) for i in range(5)], codec="ffv1", pixels="bgr0")
    with av.open(str(path)) as container:
        set_up = container.streams.video[0].codec_context.extradata
    path.write_bytes(path.read_bytes().replace(set_up, bytes(len(set_up))))
    with pytest.raises(EX4DError, match="is damaged or cut off: only 0 frames"):
        load_video(path)


def test_fractions_of_pyav_are_read_in_one_place():
    """PyAV 19 asks for Python 3.12, so on older ones nothing else would tell."""
    names = re.compile(rf"\.({'|'.join(RATIOS)}|time_base)\b")
    bare = []
    for path in chain((ROOT / "ex4d_core").rglob("*.py"), (ROOT / "nodes").rglob("*.py")):
        text = path.read_text("utf-8")
        if names.search(text):
            bare += [f"{path.relative_to(ROOT)}:{line}" for line in _bare_fractions(ast.parse(text))]
    assert not bare


def _bare_fractions(tree: ast.Module) -> list[int]:
    """Lines that read one of PyAV's fractions and do not hand it to `fraction`."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    turned = {id(argument) for call in calls if call.func.id == "fraction" for argument in call.args}
    read = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)]
    # The library's own `av.time_base` is a whole number.
    return [
        node.lineno
        for node in read
        if node.attr in RATIOS | {"time_base"} and id(node) not in turned and ast.unparse(node) != "av.time_base"
    ]
