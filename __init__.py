"""ComfyUI-EX4D: the pack's entry. ComfyUI imports this file by path, under any folder name."""

from __future__ import annotations

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Build the extension; the nodes are imported here and not above, so that importing the package stays free."""
    from .nodes import EX4DExtension

    return EX4DExtension()
