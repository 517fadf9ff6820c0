"""The pictures of the example graphs whose results cannot be shown here: what each graph hands to its sampler.

Run with ``python dev.py thumbnails``. The demo clip stands for the artist's; the caption says what the graph is for.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from . import animated_picture, gallery

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

SIDE, STRIP, FRAMES, SIZE = 560, 64, 49, 512
CAPTIONS = {
    "Re-shoot a video": ("Re-shoot a video", "app"),
    "Re-shoot full EX-4D": ("Full EX-4D", "25 steps, cfg 5"),
    "Re-shoot with stock samplers": ("Stock samplers", "KSampler + EX-4D adapter"),
    "Few steps": ("4 steps", "distilled LoRA, cfg 1"),
    "Small GPU (fp8 or GGUF)": ("Small GPU", "fp8 or GGUF"),
    "Long clip": ("Long clip", "in overlapping segments"),
    "Single image to 4D": ("Single image", "one picture becomes a clip"),
    "Handheld clip, steady re-shoot": ("Handheld clip", "the shake stays behind"),
    "Bullet time": ("Bullet time", "freeze, go around, play on"),
    "VACE (Wan 2.1)": ("VACE", "Wan 2.1 14B, grey holes"),
    "VACE (Wan 2.2)": ("VACE", "Wan 2.2, two experts"),
    "Uni3C": ("Uni3C", "Wan 2.1 I2V, no mask"),
    "CrossView (LTX 2.3)": ("CrossView", "LTX 2.3, magenta holes"),
    "CrossView (MiniMax-H3)": ("CrossView", "MiniMax-H3, magenta holes"),
    "Meridian (MiniMax-H3)": ("Meridian", "MiniMax-H3, grey holes"),
    "Image to 4D (4DNeX)": ("4DNeX", "a picture's colour and points"),
    "Image to 4D, re-shot with EX-4D": ("4DNeX + EX-4D", "a picture, filmed anew"),
}
CUSTOM = "Custom path from JSON"


def tiles(name: str, scene, rgb, depth) -> list[Image.Image]:
    """What is shown of a graph, from left to right and down."""
    from ex4d_core.pixels import to_uint8
    from ex4d_core.render import render_color_mask

    graph, half = gallery.graph_of(name), FRAMES // 2
    picture = lambda frames, t: Image.fromarray(frames[t].numpy())  # noqa: E731
    if gallery.widgets(graph, "EX4DCameraTrajectory") is None:
        points = to_uint8(gallery.points_of(scene, depth))
        return [picture(frames, t) for t in (0, half) for frames in (rgb, points)]
    mesh = gallery.mesh_of(graph, scene, rgb, depth)
    path = gallery.path_of(graph, mesh)
    hole_color = (gallery.widgets(graph, "EX4DRenderColorMask")[5:6] or ["black"])[0]
    color, mask, _ = render_color_mask(mesh, path, out_dtype="uint8", hole_color=hole_color)
    if name == CUSTOM:
        return [picture(color, t) for t in (0, 16, 32, 48)]
    if name == "Long clip":
        return [picture(color, t) for t in (0, 6, 12, 18, 24, 30, 36, 42, 48)]
    if name == "Bullet time":
        return [picture(color, t) for t in (8, 22, 28, 46)]
    if name == "Handheld clip, steady re-shoot":
        return [picture(frames, t) for frames in (rgb, color) for t in (15, 40)]
    return [picture(rgb, 0), picture(color, half), picture(color, FRAMES - 1), picture(mask, FRAMES - 1).convert("RGB")]


def sheet(pictures: list[Image.Image], caption: tuple[str, str] | None) -> Image.Image:
    """A square grid of the pictures above a caption."""
    columns = round(len(pictures) ** 0.5)
    height = SIDE - (STRIP if caption else 0)
    result = Image.new("RGB", (SIDE, SIDE), (24, 26, 32))
    for i, picture in enumerate(pictures):
        left, right = SIDE * (i % columns) // columns, SIDE * (i % columns + 1) // columns
        top, bottom = height * (i // columns) // columns, height * (i // columns + 1) // columns
        cut = round(picture.height * (1 - (bottom - top) / (right - left)) / 2)
        part = picture.crop((0, cut, picture.width, picture.height - cut))
        result.paste(part.resize((right - left - 2, bottom - top - 2), Image.Resampling.LANCZOS), (left + 1, top + 1))
    if caption:
        draw = ImageDraw.Draw(result)
        middle = SIDE - STRIP // 2
        draw.text((16, middle), caption[0], font=ImageFont.load_default(34), fill=(255, 255, 255), anchor="lm")
        draw.text((SIDE - 16, middle), caption[1], font=ImageFont.load_default(20), fill=(255, 190, 110), anchor="rm")
    return result


def write() -> None:
    """Draw all of them anew."""
    filmed = {}
    for name in (CUSTOM, *CAPTIONS):
        graph = gallery.graph_of(name)
        scene = gallery.clip_of(graph, SIZE)
        if scene not in filmed:
            filmed[scene] = scene.clip()
        picture = sheet(tiles(name, scene, *filmed[scene]), CAPTIONS.get(name))
        picture.save(ROOT / "workflows" / f"{name}.jpg", quality=86, optimize=True)
    (animated,) = gallery.PICTURES["animated-mesh"]
    animated_picture.draw()[1].save(ROOT / "workflows" / f"{animated}.jpg", quality=86, optimize=True)


if __name__ == "__main__":
    write()
