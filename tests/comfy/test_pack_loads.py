"""The pack in a real host: it loads, at once, under any folder name."""

from __future__ import annotations

import re

import pytest

NODES = [
    "EX4DLoadVideo",
    "EX4DDepthCrafter",
    "EX4DDepthFromImage",
    "EX4DBuildDWMesh",
    "EX4DCameraTrajectory",
    "EX4DRenderColorMask",
    "EX4DDraftFill",
    "EX4DAdapterLoader",
    "EX4DConditioning",
    "WanEX4DSampler",
    "EX4DSaveTrajectory",
]


@pytest.fixture()
def pack_nodes(client):
    return {name: info for name, info in client.object_info().items() if info["category"].startswith("EX-4D")}


def test_import_is_reported_fast(server):
    lines = re.findall(r"([\d.]+) seconds( \(IMPORT FAILED\))?: .*" + re.escape(server.folder_name), server.log())
    assert lines, server.log()[-3000:]
    seconds, failed = lines[-1]
    assert not failed
    assert float(seconds) < 0.3
