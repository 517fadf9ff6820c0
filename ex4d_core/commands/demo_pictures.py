"""What the demo draws: source, render, draft and truth in a row for the video, and below each other on a sheet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from torch import Tensor

SHEET_ANGLES = (-90, -60, -30, 0, 30, 60, 90)
SHEET_CELL = 224
GAP, MARGIN = 6, 34
"""Pixels between the sheet's pictures, and beside them for the titles."""

HOLE = (22, 24, 30)
"""What holes look like in pictures for people; the colour video itself is black there."""
TEXT = (226, 228, 233)
TEXT_SIZE = 18
"""Pixels, on the sheet."""
JPEG_QUALITY = 80


@dataclass(frozen=True)
class Shot:
    """The chain's result for one style, and what it is compared with.

    Attributes:
        source, color, draft, truth: (T, H, W, 3) uint8: the clip, the render, the render with its holes filled, and
            what the camera would really see.
        mask: (T, H, W) uint8, 0 = hole.
        angles: T azimuths of the camera in degrees.
    """

    source: Tensor
    color: Tensor
    mask: Tensor
    draft: Tensor
    truth: Tensor
    angles: list[float]

    def pictures(self, t: int) -> list[np.ndarray]:
        """Source, render, draft and truth of one frame, (H, W, 3) uint8."""
        render = np.where(self.mask[t, ..., None].numpy() > 0, self.color[t].numpy(), np.array(HOLE, np.uint8))
        return [self.source[t].numpy(), render, self.draft[t].numpy(), self.truth[t].numpy()]


def frame_at(angles: list[float], wanted: float) -> int:
    """The frame nearest to an angle on the way from -90 to +90, which is the last two thirds of the sweep."""
    first = len(angles) // 3
    return min(range(first, len(angles)), key=lambda t: abs(angles[t] - wanted))


def side_by_side(shot: Shot) -> Iterator[np.ndarray]:
    """Frames of a video: source, render, draft and truth in a row, with a line of text above; sides are even."""
    for t, angle in enumerate(shot.angles):
        body = np.concatenate(shot.pictures(t), 1)
        height, width = body.shape[0], body.shape[1] // 4
        header = Image.new("RGB", (4 * width, max(24, height // 16)), HOLE)
        titles = ("source video", f"DW-Mesh from {angle:+.0f} deg", "draft fill", "ground truth")
        for column, title in enumerate(titles):
            _write(header, title, column * width + width // 2, header.height // 2, header.height // 2)
        frame = np.concatenate([np.asarray(header), body])
        yield frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]  # H.264 in its common form wants even sides


def save_sheet(folder: Path, shot: Shot) -> None:
    """contact_sheet.png and .jpg: a column per angle; source, render, draft and truth below each other."""
    height, width = shot.source.shape[1:3]
    cell = (SHEET_CELL, round(SHEET_CELL * height / width))
    size = (MARGIN + len(SHEET_ANGLES) * (cell[0] + GAP), MARGIN + 4 * (cell[1] + GAP))
    sheet = Image.new("RGB", size, HOLE)
    resampling = Image.Resampling.BOX if width > SHEET_CELL else Image.Resampling.BILINEAR
    for column, angle in enumerate(SHEET_ANGLES):
        left = MARGIN + column * (cell[0] + GAP)
        _write(sheet, f"{angle:+d} deg" if angle else "0 deg", left + cell[0] // 2, MARGIN // 2, TEXT_SIZE)
        for row, picture in enumerate(shot.pictures(frame_at(shot.angles, angle))):
            small = Image.fromarray(picture).resize(cell, resampling)
            sheet.paste(small, (left, MARGIN + row * (cell[1] + GAP)))
    for row, title in enumerate(("source video", "DW-Mesh", "draft fill", "ground truth")):
        strip = Image.new("RGB", (cell[1], MARGIN), HOLE)
        _write(strip, title, cell[1] // 2, MARGIN // 2, TEXT_SIZE)
        sheet.paste(strip.transpose(Image.Transpose.ROTATE_90), (0, MARGIN + row * (cell[1] + GAP)))
    sheet.save(folder / "contact_sheet.png")
    sheet.save(folder / "contact_sheet.jpg", quality=JPEG_QUALITY)


def _write(picture: Image.Image, text: str, x: int, y: int, size: int) -> None:
    """Light text of ``size`` pixels, centred on (x, y)."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    place = (x - (left + right) / 2, y - (top + bottom) / 2)
    ImageDraw.Draw(picture).text(place, text, font=font, fill=TEXT)
