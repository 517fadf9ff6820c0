"""ComfyUI nodes of EX-4D, one module per stage of the pipeline; the work itself is in ex4d_core."""

from .extension import EX4DExtension

__all__ = ["EX4DExtension"]
