"""Wan2.1 image-to-video as a module of our own: the published names, gradients, and nothing but torch."""

from .adapter import adapter_off, adapter_state, add_adapter, prior_of, set_adapter, trained
from .float8 import to_float8
from .geometry import Geometry, geometry_of
from .kept import Checkpointing
from .load import load_wan
from .place import compile_blocks, place
from .wan import Wan

__all__ = [
    "Checkpointing",
    "Geometry",
    "Wan",
    "adapter_off",
    "adapter_state",
    "add_adapter",
    "compile_blocks",
    "geometry_of",
    "load_wan",
    "place",
    "prior_of",
    "set_adapter",
    "to_float8",
    "trained",
]
