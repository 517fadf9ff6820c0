"""ComfyUI nodes of EX-4D, one module per stage of the pipeline; the work itself is in ex4d_core."""

from __future__ import annotations

import importlib
import logging

from comfy_api.latest import ComfyExtension, io

STAGES = ("video", "depth", "depthcrafter", "mesh", "trajectory", "render", "adapter", "conditioning", "sampler")
"""Modules of this package, in the order of the pipeline. Each defines ``NODES``, a list of V3 node classes."""


class EX4DExtension(ComfyExtension):
    """Lists every node of the pack."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All stages' nodes; a stage that cannot be imported is reported and left out, the others still load."""
        nodes: list[type[io.ComfyNode]] = []
        for stage in STAGES:
            try:
                nodes += importlib.import_module(f".{stage}", __name__).NODES
            except Exception as error:  # whatever a host of another age lacks, the other stages still load
                logging.warning("EX-4D: the %s nodes are unavailable: %s", stage, error)
        return nodes
