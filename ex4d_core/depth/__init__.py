"""Depth: what turns any depth source into the planar depth that the mesh is built from.

``convert``: disparity, inverse and metric depth in, checks, resizing that keeps edges. ``clip``: the value travelling.
DepthCrafter and depth files are modules of their own, imported where they are used.
"""

from .clip import DepthClip
from .convert import (
    brightness,
    check_depth,
    depth_from_disparity,
    depth_from_inverse,
    depth_from_metric,
    resize_depth,
)

__all__ = [
    "DepthClip",
    "brightness",
    "check_depth",
    "depth_from_disparity",
    "depth_from_inverse",
    "depth_from_metric",
    "resize_depth",
]
