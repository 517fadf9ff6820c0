"""The report as one HTML page that needs nothing beside it: tables, curves by angle, films and worst frames with error maps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from ...preview.comparison import error_map
from ..charts import EXACT, curve_chart, legend
from ..html import WORST_SAYS, Film, figure, film, table_of, whole
from .cases import range_title
from .grade import MEASURES
from .results import Entry, Regression, by_angle, methods_of, shown, spans_of, table


@dataclass(frozen=True, eq=False)
class WorstFrame:
    """One frame beside its truth: ``pictures`` are (name, (H, W, 3) uint8) of each method."""

    title: str
    source: np.ndarray
    truth: np.ndarray
    pictures: list[tuple[str, np.ndarray]]


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
        ceiling = EXACT if measure.unit == "dB" else math.inf
        parts.append(curve_chart(f"{measure.title}, {measure.unit}", curves, measure.scale, ceiling=ceiling))
    parts += ["</div>", "<h2>By range</h2>", *_tables(entries, worse)]
    if films:
        parts += ["<h2>Films of the worst clips</h2>", *(film(one) for one in films)]
    if worst:
        parts.append(f"<h2>Worst frames</h2><p>Below each method {WORST_SAYS}</p>")
        parts += [_worst(one) for one in worst]
    return whole("EX-4D benchmark", parts)


def _settings(settings: dict[str, Any]) -> str:
    rows = [f"<tr><td>{escape(str(key))}</td><td>{escape(str(value))}</td></tr>" for key, value in settings.items()]
    return table_of(rows, "settings")


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
        rows = [f"<tr><th>method</th>{head}</tr>"]
        for method, row in found.items():
            if not any(row[span][name].count for span in spans):
                continue
            cells = ""
            for span in spans:
                value = row[span][name]
                kind = "worse" if (method, span, name) in marked else "best" if value.mean == best[span] else ""
                cells += f'<td class="{kind}">{shown(value, name)}</td>'
            rows.append(f"<tr><td>{escape(method)}</td>{cells}</tr>")
        parts.append(table_of(rows))
    return parts


def _best(means: list[float], better: str) -> float | None:
    known = [value for value in means if value == value]  # NaN is not itself
    return None if not known else max(known) if better == "higher" else min(known)


def _worst(one: WorstFrame) -> str:
    figures = [figure("source", one.source), figure("truth", one.truth)]
    figures += [figure(name, picture, error_map(picture, one.truth)) for name, picture in one.pictures]
    return f"<h3>{escape(one.title)}</h3><div class=row>{''.join(figures)}</div>"
