"""DepthCrafter on stock diffusers networks: temporally consistent depth of a clip.

``pipeline`` tells the whole story; ``schedule`` (noise, windows), ``frames`` (sizes), ``networks`` and ``layers`` (how
the networks are run), ``memory`` (modes), ``loading`` and ``download`` are its steps.
"""

from .memory import CHOICES, MODES, MemoryChoice, Placement, TorchPlacement
from .pipeline import DepthCrafter, StepResult

__all__ = ["CHOICES", "MODES", "DepthCrafter", "MemoryChoice", "Placement", "StepResult", "TorchPlacement"]
