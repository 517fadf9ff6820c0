"""Curves by angle or by frame as SVG that a page holds inline."""

from __future__ import annotations

import math
from html import escape

from .bootstrap import Estimate

WIDTH, HEIGHT = 520, 260
LEFT, RIGHT, TOP, BOTTOM = 60, 12, 26, 30
COLORS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f")
LINES, TICKS = 4, 13
NEARLY = 0.05
"""Share of the largest value below which the least is drawn from 0 on."""


def curve_chart(
    title: str, curves: dict[str, list[tuple[float, Estimate]]], scale: float = 1.0, unit: str = "°"
) -> str:
    """One line a method over the angle, or a clip over its frames, with its interval as a band.

    Args:
        title: with the unit.
        curves: (angle or frame, mean) by method or clip.
        scale: what the numbers are multiplied by.
        unit: of what goes to the right.
    """
    known = [(angle, value) for curve in curves.values() for angle, value in curve]
    if not known:
        return ""
    lows = [scale * (v.mean if math.isnan(v.low) else v.low) for _, v in known]
    highs = [scale * (v.mean if math.isnan(v.high) else v.high) for _, v in known]
    low, high, last = min(lows), max(highs), max(angle for angle, _ in known) or 1.0
    high = high if high > low else low + 1
    if 0 < low < NEARLY * high:
        low = 0.0  # a round number at the foot

    def x(angle: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * angle / last

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{escape(title)}</title>']
    parts.append(f'<text x="{LEFT}" y="15" class="t">{escape(title)}</text>')
    for step in range(LINES + 1):
        value = low + (high - low) * step / LINES
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" class="g"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    parts += [
        f'<text x="{x(angle):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{angle:g}{unit}</text>'
        for angle in _ticks({angle for angle, _ in known})
    ]
    for number, (name, curve) in enumerate(curves.items()):
        parts += _line(name, curve, COLORS[number % len(COLORS)], scale, x, y)
    return "".join([*parts, "</svg>"])


def _ticks(places: set[float]) -> list[float]:
    """At most `TICKS` of them, evenly."""
    ordered = sorted(places)
    return ordered[:: max(1, math.ceil(len(ordered) / TICKS))]


def _line(name: str, curve: list[tuple[float, Estimate]], color: str, scale: float, x, y) -> list[str]:
    if not curve:
        return []
    places = [f"{x(angle):.1f},{y(scale * value.mean):.1f}" for angle, value in curve]
    banded = [(angle, value) for angle, value in curve if not math.isnan(value.low)]
    above = [f"{x(angle):.1f},{y(scale * value.high):.1f}" for angle, value in banded]
    below = [f"{x(angle):.1f},{y(scale * value.low):.1f}" for angle, value in reversed(banded)]
    return [
        f'<polygon points="{" ".join(above + below)}" fill="{color}" opacity="0.12"/>',
        f'<polyline points="{" ".join(places)}" fill="none" stroke="{color}" stroke-width="2">'
        f"<title>{escape(name)}</title></polyline>",
    ]


def legend(names: list[str]) -> str:
    """The colours of the lines."""
    items = (
        f'<span><i style="background:{COLORS[n % len(COLORS)]}"></i>{escape(name)}</span>'
        for n, name in enumerate(names)
    )
    return f'<p class="legend">{"".join(items)}</p>'
