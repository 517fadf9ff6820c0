"""The numbers of the published EX-4D system that several steps or programs rely on, each with its source.

"Paper" is arXiv 2506.05554, "code" its public release, whose weights were trained and are run with these values. What
only one step knows (DepthCrafter's noise levels, the prompt) is stated there. The camera editor in the browser has copies
of some; a test holds them equal.
"""

from __future__ import annotations

# The clip: paper section 4; the code's sampler and its file writer.
FRAMES, WIDTH, HEIGHT = 49, 512, 512
FPS = 15.0

# Depth, in scene units. Code: depth = 10000 / max(3900 d, 1e-5), then clipped, of disparity d normalised to 0..1.
DEPTH_NUMERATOR, DISPARITY_SCALE, SMALLEST_DISPARITY = 10000.0, 3900.0, 1e-5
DEPTH_LIMITS = (1e-4, 1e4)
NEAREST_DEPTH = DEPTH_NUMERATOR / DISPARITY_SCALE
"""Depth of the nearest sample of every clip, about 2.564; it follows from the conversion."""
NEAREST_LIMITS = (2.5, 10.0)
"""Between these lies a clip's nearest sample after a crop or a resize too. (Our own bounds: how we tell such depth.)"""

# DepthCrafter as EX-4D runs it. Code: its depth step.
DEPTH_STEPS, DEPTH_GUIDANCE, DEPTH_WINDOW, DEPTH_OVERLAP, DEPTH_SEED = 5, 1.0, 110, 25, 42
DEPTH_SIZE_LIMIT = 1024
"""Pixels of the longer side at which depth is estimated."""

# The mesh. Paper section 3.2 and appendix A.3; code: its mesh builder.
BORDER_DEPTH = 100.0
"""Depth of the border ring and so of the back plate (the paper's D_max); what lies farther is hidden behind it."""
MIN_ANGLE = 2.5
"""Degrees; a face with a smaller angle is occluded (delta_angle)."""
DEPTH_JUMP = 0.013
"""A face that spans more than this share of frame 0's depth range is occluded (delta_depth)."""

# The cameras. Code: its camera paths and its projection.
PIVOT_MARGIN = 0.15
"""Scene units from the nearest point of frame 0 to the point that camera paths orbit."""
DEFAULT_RADIUS = NEAREST_DEPTH + PIVOT_MARGIN
"""Distance of that point where no scene is known: the nearest that a clip's depth can be."""
FOCAL = 500.0
"""Pixels, at `WIDTH`."""
FOCAL_RATIO = FOCAL / WIDTH
"""Focal length over image width, the field of view of the training data."""
RENDER_NEAR, RENDER_FAR = 1e-3, 1e3
"""Depth range of the projection, scene units."""
VISIBLE_ALPHA = 125.0
"""A rendered pixel is seen where its opacity, 0..255 and interpolated over faces, is above this."""

# The sampler. Code: its generation script and the preprocessing of colour and mask.
SAMPLER_STEPS, SAMPLER_CFG, SAMPLER_SHIFT = 25, 5.0, 5.0
EROSION = (2, 8)
"""Least and greatest side, in pixels, of the box by which each frame's mask is eroded."""
SEEN_LEVEL = 128
"""A mask's level, 0..255, from which on a pixel counts as seen."""

# 4DNeX: one picture to colour and points, on the same video model. Paper: arXiv 2508.13154; code: 3DTopia/4DNeX.
FOURDNEX_FRAMES, FOURDNEX_FPS = 49, 24.0
FOURDNEX_AREA = 480 * 720
"""Pixels of one half of its video, before its sides are rounded down to whole tokens."""
FOURDNEX_STEPS, FOURDNEX_CFG, FOURDNEX_SHIFT, FOURDNEX_SEED = 50, 5.0, 3.0, 42
FOURDNEX_SCALE, FOURDNEX_OFFSET = 1.70, -0.13
"""From what the network makes of a point map to its VAE latent, both normalised: times the one, plus the other."""
