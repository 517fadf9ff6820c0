"""What the user has chosen on the pack's page of ComfyUI's settings, as far as Python needs it (web/settings.js)."""

from __future__ import annotations

import json
from pathlib import Path

import folder_paths

from ..ex4d_core.preview.scene_file import PREVIEW_PIXELS

PREVIEW_SIDE = "EX4D.Preview.Side"
SIDES = (128, 256, 384, 512)
USER, FILE = "default", "comfy.settings.json"
"""Where every host up to 0.33 keeps the settings of its only user. With --multi-user there is no such file."""


def preview_pixels() -> int:
    """Pixels of a film in a node; the usual ones where the settings, or the host that would keep them, say nothing."""
    try:
        path = Path(folder_paths.get_user_directory()) / USER / FILE
        side = json.loads(path.read_text(encoding="utf-8")).get(PREVIEW_SIDE)
    except (OSError, ValueError, AttributeError):  # none, half-written, no such host
        side = None
    return side**2 if side in SIDES else PREVIEW_PIXELS
