"""Interlaced video to whole pictures: a frame's two fields were taken one after the other, and edges comb where it moves."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from ..errors import EX4DError
from .pyav import fraction

if TYPE_CHECKING:
    from av.filter.graph import Graph
    from av.video.frame import VideoFrame

log = logging.getLogger(__name__)

FILTER, OPTIONS = "bwdif", "mode=send_frame:deint=interlaced"
"""FFmpeg's refinement of yadif; one picture a frame, and frames that are not flagged as interlaced stay as they are."""


def deinterlaced(frames: Iterator[VideoFrame], path: str) -> Iterator[VideoFrame]:
    """The same frames at the same times; from the first one that is flagged as interlaced on, they pass the filter.

    Args:
        frames: decoded av.VideoFrames in display order.
        path: for the message.

    Raises:
        EX4DError: as ``frames`` does, once the frames before it are out.
    """
    graph, shape = None, ()
    try:
        for frame in frames:
            if graph is not None and shape != _shape(frame):
                yield from _pulled(graph, last=True)
                graph = None
            if graph is None and frame.interlaced_frame:
                if not shape:
                    log.warning("'%s' is interlaced, so it is deinterlaced: one picture for every two fields.", path)
                graph, shape = _filter_for(frame), _shape(frame)
            if graph is None:
                yield frame
            else:
                graph.push(frame)
                yield from _pulled(graph)
    except EX4DError:
        if graph is not None:
            yield from _pulled(graph, last=True)
        raise
    if graph is not None:
        yield from _pulled(graph, last=True)


def _shape(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _filter_for(frame: VideoFrame) -> Graph:
    from av.filter import Graph

    graph = Graph()
    tick = fraction(frame.time_base)
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=tick)
    graph.link_nodes(source, graph.add(FILTER, OPTIONS), graph.add("buffersink")).configure()
    return graph


def _pulled(graph: Graph, *, last: bool = False) -> Iterator[VideoFrame]:
    """What the filter has finished; it holds one frame back until it knows the next, or that this was the ``last``."""
    from av.error import BlockingIOError, EOFError

    if last:
        graph.push(None)
    while True:
        try:
            picture = cast("VideoFrame", graph.pull())
        except (BlockingIOError, EOFError):
            return
        yield picture
