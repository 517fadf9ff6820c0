"""The report as one HTML page that needs nothing beside it: tables, curves by angle, films and worst frames with error maps."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...preview.comparison import FULL_SCALE, error_map
from ...preview.pictures import jpeg
from ...video import save_video
from .cases import Target, range_title
from .charts import curve_chart, legend
from .grade import MEASURES
from .methods import Shown
from .results import Entry, Regression, by_angle, methods_of, shown, spans_of, table

QUALITY, FILM_FPS = 82, 5.0
"""Of JPEG; and films slowed, so that an eye can follow them."""
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1180px;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse;margin:.5rem 0 1.5rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #e3e6ea}th:first-child,td:first-child{text-align:left}
.best{font-weight:700}.worse{color:#c01818;font-weight:700}.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr));gap:1rem}
svg{width:100%}svg text{font:11px system-ui,sans-serif;fill:#48505a}svg text.t{font-size:13px;fill:#1b1f24}.g{stroke:#e3e6ea}
.legend span{margin-right:1.2rem}.legend i{display:inline-block;width:1em;height:.5em;margin-right:.4em}
.row{display:flex;flex-wrap:wrap;gap:6px;margin-bottom:1rem}.row figure{margin:0;width:150px}
.film{margin:0 0 1rem}.film video{width:100%;max-width:900px}
.row img{width:100%;image-rendering:pixelated}
figcaption{font-size:12px;color:#48505a}code{white-space:pre-wrap}
"""


@dataclass(frozen=True, eq=False)
class WorstFrame:
    """One frame beside its truth: ``pictures`` are (name, (H, W, 3) uint8) of each method."""

    title: str
    source: np.ndarray
    truth: np.ndarray
    pictures: list[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Film:
    """A film that the page holds: bytes of an MP4."""

    title: str
    data: bytes


def film_of(truth: Target, shown: Shown) -> bytes:
    """Truth, what is shown and where they differ, side by side, as an MP4."""
    strips = [
        np.concatenate([right, frame, error_map(frame, right)], axis=1)
        for right, frame in zip(truth.rgb.numpy(), shown.color.numpy(), strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.mp4"
        save_video(file, torch.from_numpy(np.stack(strips)), FILM_FPS)
        return file.read_bytes()


def page(
    entries: list[Entry],
    settings: dict[str, Any],
    worst: list[WorstFrame],
    films: list[Film],
    worse: list[Regression],
    problems: list[str],
) -> str:
    """The whole page."""
    names = methods_of(entries)
    parts = [f"<h1>Geometry benchmark: {escape(str(settings['benchmark']))}</h1>", _settings(settings)]
    if worse:
        parts += ["<h2>Regressions</h2><ul>", *(f"<li class=worse>{_told(one)}</li>" for one in worse), "</ul>"]
    if problems:
        parts += ["<h2>Not measured</h2><ul>", *(f"<li class=worse>{escape(one)}</li>" for one in problems), "</ul>"]
    parts += ["<h2>By angle</h2>", legend(names), '<div class="charts">']
    for name, measure in MEASURES.items():
        curves = {method: by_angle(entries, method, name) for method in names}
        parts.append(curve_chart(f"{measure.title}, {measure.unit}", curves, measure.scale))
    parts += ["</div>", "<h2>By range</h2>", *_tables(entries, worse)]
    if films:
        parts += ["<h2>Films of the worst clips</h2>", *(_film(one) for one in films)]
    if worst:
        parts.append(
            "<h2>Worst frames</h2><p>Below each method where it differs from the truth: white = "
            f"{FULL_SCALE:g} levels or more.</p>"
        )
        parts += [_worst(one) for one in worst]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>EX-4D benchmark</title><style>{STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def _settings(settings: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(str(key))}</td><td>{escape(str(value))}</td></tr>" for key, value in settings.items()
    )
    return f"<table>{rows}</table>"


def _told(one: Regression) -> str:
    measure = MEASURES[one.measure]
    before, now = (f"{measure.scale * value:.2f}" for value in (one.before, one.now))
    return escape(f"{one.method}, {range_title(one.span)}: {measure.title} {before} → {now} {measure.unit}")


def _tables(entries: list[Entry], worse: list[Regression]) -> list[str]:
    found, spans = table(entries), spans_of(entries)
    marked = {(one.method, one.span, one.measure) for one in worse}
    parts = []
    for name, measure in MEASURES.items():
        if not any(row[span][name].count for row in found.values() for span in spans):
            continue
        best = {span: _best([row[span][name].mean for row in found.values()], measure.better) for span in spans}
        head = "".join(f"<th>{escape(range_title(span))}</th>" for span in spans)
        parts.append(f"<h3>{measure.title} ({measure.unit}, {measure.better} is better)</h3><p>{measure.says}</p>")
        parts.append(f"<table><tr><th>method</th>{head}</tr>")
        for method, row in found.items():
            cells = ""
            for span in spans:
                value = row[span][name]
                kind = "worse" if (method, span, name) in marked else "best" if value.mean == best[span] else ""
                cells += f'<td class="{kind}">{shown(value, name)}</td>'
            parts.append(f"<tr><td>{escape(method)}</td>{cells}</tr>")
        parts.append("</table>")
    return parts


def _best(means: list[float], better: str) -> float | None:
    known = [value for value in means if value == value]  # NaN is not itself
    return None if not known else max(known) if better == "higher" else min(known)


def _worst(one: WorstFrame) -> str:
    figures = [_figure("source", one.source), _figure("truth", one.truth)]
    figures += [_figure(name, picture, error_map(picture, one.truth)) for name, picture in one.pictures]
    return f"<h3>{escape(one.title)}</h3><div class=row>{''.join(figures)}</div>"


def _film(one: Film) -> str:
    data = base64.b64encode(one.data).decode()
    return (
        f'<figure class="film"><video src="data:video/mp4;base64,{data}" autoplay loop muted controls></video>'
        f"<figcaption>{escape(one.title)}</figcaption></figure>"
    )


def _figure(name: str, *pictures: np.ndarray) -> str:
    images = "".join(
        f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(jpeg(picture, QUALITY)).decode()}">'
        for picture in pictures
    )
    return f"<figure>{images}<figcaption>{escape(name)}</figcaption></figure>"
