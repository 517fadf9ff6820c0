"""What `ex4d evaluate` found, as one HTML page that needs nothing beside it: tables, curves by frame, films and worst frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from ..preview.comparison import error_map
from .bootstrap import Estimate, estimate
from .charts import COLORS, EXACT, curve_chart, legend
from .html import WORST_SAYS, Film, figure, film, film_of, table_of, whole
from .rows import ROWS
from .scores import Clips, Scores
from .weighted.judged import DISTANCES, WEIGHTED, of_set

WORST, FILMS = 4, 4
"""Frames and films that the page shows."""
CURVES = ("psnr", "psnr_seen", "psnr_hole", "ssim", "camera_degrees", "camera_radius", "occlusion", "flow_warp_error")
"""Rows that are drawn frame by frame."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What of one clip the page shows.

    Attributes:
        film: truth, result and where they differ; of the result alone without a truth.
        worst: PSNR, frame, result and truth (H, W, 3) uint8 of its worst frames; empty without a truth.
    """

    film: Film
    worst: list[tuple[float, int, np.ndarray, np.ndarray]]


def seen_of(name: str, clips: Clips, scores: Scores, *, cancel: Callable[[], bool] | None = None) -> Seen:
    """Of a clip that was judged; ``cancel`` is polled at every frame of its film."""
    says = "the result" if clips.truth is None else "truth, result, where they differ"
    worst: list[tuple[float, int, np.ndarray, np.ndarray]] = []
    if clips.truth is not None:
        known = [(value, t) for t, value in enumerate(scores.frames.get("psnr", [])) if math.isfinite(value)]
        # Copies: a view would keep the whole clip in memory until the page is written.
        worst = [
            (value, t, clips.result[t].numpy().copy(), clips.truth[t].numpy().copy())
            for value, t in sorted(known)[:WORST]
        ]
    return Seen(Film(f"{name}: {says}", film_of(clips.result, clips.truth, cancel=cancel)), worst)


def clips_page(done: dict[str, Scores], seen: dict[str, Seen], problems: Sequence[str], version: str) -> str:
    """The whole page.

    Args:
        done: what came of each clip, by its name.
        seen: films and frames of the first clips, likewise.
        problems: what could not be measured.
        version: of this package.
    """
    count = "1 clip" if len(done) == 1 else f"{len(done)} clips" if done else "no clip"
    parts = [
        f"<h1>Evaluation of {count}</h1><p>ex4d {escape(version)}. ± is half of the 95 % bootstrap interval over clips.</p>"
    ]
    if problems:
        parts += ["<h2>Not measured</h2><ul>", *(f"<li class=worse>{escape(one)}</li>" for one in problems), "</ul>"]
    if done:
        parts += ["<h2>Numbers</h2>", _means(done)]
    if len(done) > 1:
        parts += ["<h2>Clip by clip</h2>", _each(done)]
    parts += _curves(done)
    if seen:
        parts += ["<h2>Films</h2>", *(film(one.film) for one in seen.values())]
    parts += _worst(seen)
    return whole("EX-4D evaluation", parts)


def _means(done: dict[str, Scores]) -> str:
    """Every row: the mean over clips and how many it rests on; and below, why there is none."""
    sets, lacking, _ = of_set([scores.said for scores in done.values()])
    lines = ["<tr><th>row</th><th>mean</th><th>clips</th><th>better</th></tr>"]
    missing = []
    for row in (*ROWS, *WEIGHTED):
        if row.name in DISTANCES:
            value = "-" if row.name not in sets else f"{sets[row.name]:.4g}"
            clips, why = ("all" if row.name in sets else "0"), lacking.get(row.name, "")
        else:
            found = estimate([scores.values[row.name] for scores in done.values()])
            same = any(scores.values[row.name] == math.inf for scores in done.values())
            value, clips = ("identical" if same and not found.count else _told(found)), str(found.count)
            why = next((scores.reasons[row.name] for scores in done.values() if row.name in scores.reasons), "")
        if value == "-":
            missing.append(f"<tr><td>{escape(row.title)}</td><td>not computed: {escape(why)}</td></tr>")
            continue
        better = {"one": "nearest to 1", "truth": "nearest to the truth's"}.get(row.better, row.better)
        cells = (row.title, f"{value} {getattr(row, 'unit', '')}".rstrip(), clips, better)
        lines.append(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    return table_of(lines) + (table_of(missing, "why") if missing else "")


def _told(found: Estimate) -> str:
    if not found.count:
        return "-"
    return f"{found.mean:.4g}" if math.isnan(found.low) else f"{found.mean:.4g} ± {found.half:.2g}"


def _each(done: dict[str, Scores]) -> str:
    """The rows that any clip has a number for, a line each clip."""
    rows = (*ROWS, *(row for row in WEIGHTED if row.name not in DISTANCES))
    shown = [row for row in rows if any(scores.values[row.name] is not None for scores in done.values())]
    head = "".join(f"<th>{escape(row.title)}</th>" for row in shown)
    lines = [f"<tr><th>clip</th>{head}</tr>"]
    for name, scores in done.items():
        values = [scores.values[row.name] for row in shown]
        cells = ("-" if v is None else "identical" if math.isinf(v) else f"{v:.4g}" for v in values)
        lines.append(f"<tr><td>{escape(name)}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return table_of(lines)


def _curves(done: dict[str, Scores]) -> list[str]:
    """Each row by frame, of as many clips as there are colours."""
    names = list(done)[: len(COLORS)]
    titles = {row.name: f"{row.title}, {row.unit}".rstrip(", ") for row in ROWS}
    charts = []
    for row in CURVES:
        curves = {name: _curve(done[name].frames, row) for name in names}
        charts.append(curve_chart(titles[row], curves, unit="", ceiling=EXACT if "psnr" in row else math.inf))
    if not any(charts):
        return []
    more = "" if len(done) == len(names) else f"<p>The first {len(names)} clips.</p>"
    return ["<h2>By frame</h2>", more, legend(names), '<div class="charts">', *charts, "</div>"]


def _curve(frames: dict[str, list[float]], row: str) -> list[tuple[float, Estimate]]:
    """One row by frame; what is of pairs of frames stands at the later one."""
    values = frames.get(row, [])
    first = len(frames.get("flicker", [])) + 1 - len(values)
    return [(float(t), Estimate(v, math.nan, math.nan, 1)) for t, v in enumerate(values, first) if math.isfinite(v)]


def _worst(seen: dict[str, Seen]) -> list[str]:
    """The worst frames of all clips that are shown."""
    found = sorted(((worst, name) for name, one in seen.items() for worst in one.worst), key=lambda pair: pair[0][:2])[
        :WORST
    ]
    parts = [f"<h2>Worst frames</h2><p>Below each result {WORST_SAYS}</p>"] if found else []
    for (value, t, result, truth), name in found:
        pictures = figure("truth", truth) + figure("result", result, error_map(result, truth))
        parts.append(f"<h3>{escape(name)}, frame {t}: {value:.1f} dB</h3><div class=row>{pictures}</div>")
    return parts
