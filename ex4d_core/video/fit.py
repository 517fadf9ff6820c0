"""How a picture of one size fills a frame of another: crop, pad or stretch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import EX4DError

Fit = Literal["crop", "pad", "stretch"]
"""Fill the frame and cut what hangs over; show the whole picture between black bars; ignore the aspect ratio."""
FITS: tuple[Fit, ...] = get_args(Fit)
SMALLEST_SIDE = 16
LARGEST_SIDE = 8192
LARGEST_SCALED_PIXELS = 2 * LARGEST_SIDE * LARGEST_SIDE


@dataclass(frozen=True)
class PicturePlacement:
    """Where the scaled picture lies relative to the frame; all in pixels.

    Attributes:
        scaled_width, scaled_height: size to which the whole upright picture is resized.
        left, top: position of the scaled picture's corner in the frame; negative where it is cropped.
        width, height: size of the frame.
    """

    scaled_width: int
    scaled_height: int
    left: int
    top: int
    width: int
    height: int

    @property
    def covers(self) -> bool:
        """Whether the picture leaves nothing of the frame free."""
        rows, columns = self.windows()[0]
        return (rows, columns) == (slice(0, self.height), slice(0, self.width))

    def windows(self) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """The overlapping (rows, columns) of the frame, and of the scaled picture."""
        frame, picture = [], []
        for offset, inner, outer in (
            (self.top, self.scaled_height, self.height),
            (self.left, self.scaled_width, self.width),
        ):
            begin, end = max(offset, 0), min(offset + inner, outer)
            frame.append(slice(begin, end))
            picture.append(slice(begin - offset, end - offset))
        return (frame[0], frame[1]), (picture[0], picture[1])


def place(source: tuple[int, int], size: tuple[int, int], fit: Fit, *, aspect: float | None = None) -> PicturePlacement:
    """Centre a picture in a frame.

    Args:
        source: upright (width, height) of the picture in stored pixels, each >= 1.
        size: (width, height) of the frame, each >= 1.
        fit: ``crop`` fills the frame and cuts what hangs over, ``pad`` shows the whole picture between black bars,
            ``stretch`` ignores the aspect ratio.
        aspect: displayed width / height where the stored pixels are not square; None takes ``source``'s.

    Returns:
        The placement; its picture covers the frame (crop), lies inside it (pad) or equals it (stretch).

    Raises:
        EX4DError: an unknown fit, or a crop that would have to enlarge the picture beyond reason.
    """
    if fit not in FITS:
        raise EX4DError(f"Unknown fit '{fit}': use {', '.join(FITS[:-1])} or {FITS[-1]}.")
    width, height = size
    if fit == "stretch":
        return PicturePlacement(width, height, 0, 0, width, height)
    aspect = source[0] / source[1] if aspect is None else aspect
    wider = aspect * height >= width
    if wider == (fit == "crop"):
        scaled_width, scaled_height = max(1, round(height * aspect)), height
    else:
        scaled_width, scaled_height = width, max(1, round(width / aspect))
    if fit == "crop":
        scaled_width, scaled_height = max(scaled_width, width), max(scaled_height, height)
    else:
        scaled_width, scaled_height = min(scaled_width, width), min(scaled_height, height)
    if scaled_width * scaled_height > LARGEST_SCALED_PIXELS:
        raise EX4DError(
            f"A {source[0]}x{source[1]} picture cannot be cropped to {width}x{height}: it would have to grow to "
            f"{scaled_width}x{scaled_height} first. Use the fit 'pad' or 'stretch'."
        )
    left, top = (width - scaled_width) // 2, (height - scaled_height) // 2
    return PicturePlacement(scaled_width, scaled_height, left, top, width, height)


def check_frame_size(
    size: tuple[int, int], what: str = "The video size", smallest: int = SMALLEST_SIDE, largest: int = LARGEST_SIDE
) -> tuple[int, int]:
    """Accept a size whose sides lie in a range.

    Args:
        size: (width, height) in pixels.
        what: its name, as the sentence's subject.
        smallest: allowed side in pixels.
        largest: likewise.

    Returns:
        The size, as whole numbers.

    Raises:
        EX4DError: a side outside that range.
    """
    width, height = int(size[0]), int(size[1])
    if not (smallest <= min(width, height) and max(width, height) <= largest):
        raise EX4DError(
            f"{what} is {width}x{height}; each side must be {smallest} to {largest} pixels. "
            + ("Use a larger one." if min(width, height) < smallest else "Use a smaller one.")
        )
    return width, height
