"""Exit codes of every command.

Two of them are those of the process in ComfyUI's folder: its first file is run by its path and can import nothing of ours.
"""

from __future__ import annotations

from ..wan.host.start import BAD_INPUT, INTERRUPTED

__all__ = ["BAD_INPUT", "FAILED", "INCOMPLETE", "INTERRUPTED"]

FAILED = 1
INCOMPLETE = BAD_INPUT
"""Some of the work could not be done; the rest was."""
