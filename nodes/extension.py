"""What ComfyUI asks the pack for: the list of its nodes."""

from __future__ import annotations

import importlib
import logging
from functools import cache

from comfy_api.latest import ComfyExtension, io

from .sockets import check_sockets

log = logging.getLogger(__name__)

STAGES = (
    "video",
    "depth",
    "depthcrafter",
    "source_camera",
    "pointmap",
    "mesh",
    "trajectory",
    "animate",
    "animate_fit",
    "animate_drive",
    "assets",
    "pointcloud",
    "render",
    "stereo",
    "vr",
    "targets",
    "adapter",
    "conditioning",
    "sampler",
    "composite",
    "compare",
    "fourdnex",
    "fourdnex_sampler",
    "training",
)
"""Modules beside this one, in the order of the pipeline. Each defines ``NODES``, a list of V3 node classes."""


class EX4DExtension(ComfyExtension):
    """Lists every node of the pack."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All stages' nodes."""
        return [node for stage in STAGES for node in stage_nodes(stage)]


@cache
def stage_nodes(stage: str) -> list[type[io.ComfyNode]]:
    """The nodes of a stage; none, and a line on the console, where one of them does not work on this host."""
    try:
        nodes = importlib.import_module(f".{stage}", __package__).NODES
        for node in nodes:
            node.GET_SCHEMA()  # the host does the same, and drops the whole pack where it fails
            check_sockets(node)
    except Exception as error:  # whatever a host of another age lacks, the other stages still load
        log.warning("EX-4D: the %s nodes are unavailable: %s: %s", stage, type(error).__name__, error)
        return []
    return nodes
