"""What the pages of results are made of: style, pictures and films inside the page, which needs nothing beside it."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from torch import Tensor

from ..preview.comparison import FULL_SCALE, error_map
from ..preview.film import film_size, lay_out
from ..preview.pictures import jpeg, shrink
from ..video import save_video

QUALITY, FILM_FPS = 82, 5.0
"""Of JPEG; and films slowed, so that an eye can follow them."""
FILM_PIXELS, FILM_CRF = 512 * 288, 22.0
"""Of one picture of a film at most, of three that share the page's width; and x264's quality."""
STILL_PIXELS = 640 * 640
"""Of a single picture at most."""
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1180px;padding:0 1rem;color:#1b1f24}
h1,h2,h3,li,figcaption{overflow-wrap:anywhere}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto;margin:.5rem 0 1.5rem}
th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #e3e6ea;white-space:nowrap}
th:first-child,td:first-child,.settings td,.why td{text-align:left}
.settings td+td,.why td+td{white-space:normal;overflow-wrap:anywhere}.why td{color:#48505a}
.best{font-weight:700}.worse{color:#c01818;font-weight:700}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:1rem}
svg{width:100%}svg text{font:11px system-ui,sans-serif;fill:#48505a}svg text.t{font-size:13px;fill:#1b1f24}.g{stroke:#e3e6ea}
.legend span{display:inline-block;margin-right:1.2rem}.legend i{display:inline-block;width:1em;height:.5em;margin-right:.4em}
.row{display:flex;flex-wrap:wrap;gap:6px;margin-bottom:1rem}.row figure{margin:0;flex:1 1 130px;max-width:340px}
.film{margin:0 0 1rem}.film video{width:100%;max-width:900px}
.row img{width:100%;display:block;image-rendering:pixelated}
figcaption{font-size:12px;color:#48505a}code{white-space:pre-wrap}
@media(max-width:600px){th,td{padding:.25rem .4rem}.why td{display:block}
.why td:first-child{border:0;padding-bottom:0;color:#1b1f24}}
"""
WORST_SAYS = f"where it differs from the truth: white = {FULL_SCALE:g} levels or more."


@dataclass(frozen=True)
class Film:
    """A film that the page holds: bytes of an MP4."""

    title: str
    data: bytes


def film_of(shown: Tensor, truth: Tensor | None = None, *, cancel: Callable[[], bool] | None = None) -> bytes:
    """Truth, what is shown and where they differ, side by side, as an MP4; what is shown alone without a truth.

    Args:
        shown: (T, H, W, 3) uint8; large pictures are made smaller, after they were compared.
        truth: likewise.
        cancel: polled at every frame.

    Raises:
        Cancelled: ``cancel`` returned True.
    """
    width, height = film_size(shown.shape[2], shown.shape[1], FILM_PIXELS)

    def strip(t: int) -> np.ndarray:
        pictures = [shown[t].numpy()]
        if truth is not None:
            right = truth[t].numpy()
            pictures = [right, *pictures, error_map(pictures[0], right)]
        return lay_out([shrink(picture, width, height) for picture in pictures])

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.mp4"
        save_video(file, map(strip, range(len(shown))), FILM_FPS, crf=FILM_CRF, cancel=cancel)
        return file.read_bytes()


def whole(title: str, parts: list[str]) -> str:
    """A page."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def table_of(rows: list[str], kind: str = "") -> str:
    """Rows of a table, which is moved sideways where the window is too narrow for it."""
    label = f' class="{kind}"' if kind else ""
    return f'<div class="wide"><table{label}>{"".join(rows)}</table></div>'


def film(one: Film) -> str:
    """It, played again and again."""
    data = base64.b64encode(one.data).decode()
    return (
        f'<figure class="film"><video src="data:video/mp4;base64,{data}" autoplay loop muted controls></video>'
        f"<figcaption>{escape(one.title)}</figcaption></figure>"
    )


def figure(name: str, *pictures: np.ndarray) -> str:
    """Pictures (H, W, 3) uint8 below each other with their name; large ones are made smaller."""
    images = ""
    for picture in pictures:
        small = shrink(picture, *film_size(picture.shape[1], picture.shape[0], STILL_PIXELS))
        images += f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(jpeg(small, QUALITY)).decode()}">'
    return f"<figure>{images}<figcaption>{escape(name)}</figcaption></figure>"
