"""Every number of the published EX-4D system that more than one step or several programs rely on, with its source.

The published code is the EX-4D release of the paper (arXiv 2506.05554): its depth step, its mesh builder and renderer
(nvdiffrast), its camera files and its training data.
"""

from __future__ import annotations

RENDER_NEAR, RENDER_FAR = 1e-3, 1e3
"""Depth range of the published renderer's projection, scene units."""

VISIBLE_ALPHA = 125.0
"""A pixel of the published renderer is seen where its opacity, 0..255, is above this; opacity is interpolated."""
