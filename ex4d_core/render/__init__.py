"""Rendering a DW-Mesh along a camera path: colour, mask and depth video.

One function, `render_color_mask` (``color_mask``), over four backends of one meaning, of which ``choose`` takes one:

* ``numba``: every CPU core, one frame each; no GPU.
* ``torch``: any device, nothing beyond torch.
* ``triton``: CUDA; kernels that Triton compiles, which comes with torch on Linux.
* ``nvdiffrast``: CUDA; optional, never required; its licence is non-commercial. The published code's renderer. It snaps
  vertices to 1/16 pixel and, in released style, blends silhouettes over one pixel (``antialias``).

Any other mesh of triangles is drawn by `render_triangles` (``triangles``) with the same rasterisers, and laid into a DW-Mesh's
picture by `nearer_of`.
"""

from .choose import (
    BACKEND_CHOICES,
    BACKENDS,
    BackendChoice,
    BackendName,
    available_backends,
    backend_problem,
    choose_backend,
)
from .color_mask import (
    OUT_DTYPES,
    KeepFirstFrame,
    OutDtype,
    default_range,
    keeps_first_frame,
    render_color_mask,
    shown_frames,
    source_along,
    with_lenses,
)
from .panorama import PROJECTIONS, Projection, check_panorama_memory, panorama_size, render_panorama
from .triangles import TRIANGLE_BACKENDS, Triangles, nearer, nearer_of, render_triangles

__all__ = [
    "BACKENDS",
    "BACKEND_CHOICES",
    "OUT_DTYPES",
    "PROJECTIONS",
    "TRIANGLE_BACKENDS",
    "BackendChoice",
    "BackendName",
    "KeepFirstFrame",
    "OutDtype",
    "Projection",
    "Triangles",
    "available_backends",
    "backend_problem",
    "check_panorama_memory",
    "choose_backend",
    "default_range",
    "keeps_first_frame",
    "nearer",
    "nearer_of",
    "panorama_size",
    "render_color_mask",
    "render_panorama",
    "render_triangles",
    "shown_frames",
    "source_along",
    "with_lenses",
]
