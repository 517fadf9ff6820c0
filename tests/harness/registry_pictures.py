"""The pack's icon and banner for the Comfy registry, drawn by its own renderer. Run with ``python dev.py thumbnails``."""

from __future__ import annotations

import math
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

INK, ORANGE, GREEN, PINK = (20, 22, 28), (255, 170, 70), (80, 220, 150), (255, 95, 150)
ICON, FINER = 400, 4
BANNER = (1260, 540)
ANGLES = (-75, -40, 0, 40, 75)


def icon() -> Image.Image:
    """A subject of facets, cameras on an orbit around it, and the one that looks from far to the side."""
    side = ICON * FINER
    picture = Image.new("RGBA", (side, side))
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((0, 0, side - 1, side - 1), side // 6, fill=(*INK, 255))
    middle = (0.5 * side, 0.52 * side)
    at = lambda angle, rx, ry: (  # noqa: E731
        middle[0] + rx * side * math.cos(math.radians(angle)),
        middle[1] + ry * side * math.sin(math.radians(angle)),
    )
    # The orbit's far half lies behind the subject, the near half before it.
    orbit = lambda first, last: [at(angle, 0.39, 0.19) for angle in range(first, last + 1, 3)]  # noqa: E731
    draw.line(orbit(180, 360), fill=(*ORANGE, 130), width=side // 60, joint="curve")
    rim = [at(60 * i - 90, 0.2, 0.235) for i in range(6)]
    for i in range(6):
        shade = 0.5 + 0.5 * math.cos(math.radians(60 * i + 30))
        color = tuple(round(70 + shade * (c - 70)) for c in (225, 232, 245))
        draw.polygon([rim[i], rim[(i + 1) % 6], at(0, 0, 0)], fill=color)
    draw.polygon([rim[1], rim[2], at(0, 0, 0)], fill=PINK)  # what the source camera has not seen
    draw.line(orbit(0, 180), fill=(*ORANGE, 255), width=side // 60, joint="curve")
    for angle, size, color in ((150, 0.035, ORANGE), (120, 0.035, ORANGE), (90, 0.035, ORANGE), (30, 0.06, GREEN)):
        x, y = at(angle, 0.39, 0.19)
        radius = size * side
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color, outline=INK, width=side // 100)
    x, y = at(30, 0.39, 0.19)
    draw.line([(x, y), at(0, 0, 0)], fill=(*GREEN, 255), width=side // 110)
    return picture.resize((ICON, ICON), Image.Resampling.LANCZOS)


def views(scene, rgb, mesh) -> list[Image.Image]:
    """The last frame of the demo clip from the angles, holes and all."""
    from ex4d_core.render import render_color_mask
    from ex4d_core.trajectory import Trajectory

    pictures = []
    for angle in ANGLES:
        path = Trajectory.preset(
            "orbit", frames=len(rgb), radius=mesh.radius, angle=angle, rise=0.1, intrinsics=scene.intrinsics
        )
        color, mask, _ = render_color_mask(mesh, path, out_dtype="uint8")
        frame = color[-1].numpy().copy()
        frame[mask[-1].numpy() < 128] = INK
        pictures.append(Image.fromarray(rgb[-1].numpy() if angle == 0 else frame))
    return pictures


def banner() -> Image.Image:
    """One moment from five sides below the name."""
    from ex4d_core.demo_scene import DemoScene
    from ex4d_core.mesh import build_dw_mesh

    scene = DemoScene(512, 512, 9, samples=3)
    rgb, depth = scene.clip()
    pictures = views(scene, rgb, build_dw_mesh(rgb, depth, scene.intrinsics))
    width, height = BANNER
    result = Image.new("RGB", BANNER, INK)
    step = width // len(pictures)
    for i, picture in enumerate(pictures):
        part = picture.crop((40, 0, 472, 512)).resize(
            (step - 4, round((step - 4) * 512 / 432)), Image.Resampling.LANCZOS
        )
        result.paste(part, (i * step + 2, height - part.height - 64))
    draw = ImageDraw.Draw(result)
    draw.text((28, 78), "EX-4D", font=ImageFont.load_default(84), fill=(255, 255, 255), anchor="lm")
    words = "re-shoot a video you already have,\nfrom somewhere else"
    draw.multiline_text(
        (width - 28, 82), words, font=ImageFont.load_default(34), fill=ORANGE, anchor="rm", align="right"
    )
    for i, angle in enumerate(ANGLES):
        draw.text(
            (i * step + step // 2, height - 32),
            "your clip" if angle == 0 else f"{angle:+d}°",
            font=ImageFont.load_default(26),
            fill=GREEN if angle == 0 else (200, 205, 215),
            anchor="mm",
        )
    return result


def write() -> None:
    """Draw both anew."""
    icon().save(ROOT / "docs" / "icon.png", optimize=True)
    banner().save(ROOT / "docs" / "banner.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    write()
