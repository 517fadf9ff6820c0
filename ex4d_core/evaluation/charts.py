"""Curves by angle or by frame as SVG that a page holds inline."""

from __future__ import annotations

import math
from html import escape

from .bootstrap import Estimate

WIDTH, HEIGHT = 520, 260
LEFT, RIGHT, TOP, BOTTOM = 60, 12, 26, 30
COLORS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f")
EXACT = 50.0
"""dB from which an eye sees no difference: ceiling of curves of PSNR."""
LINES, TICKS = 5, 13
"""Rungs that a curve has about, and numbers below it at the most."""


def curve_chart(
    title: str,
    curves: dict[str, list[tuple[float, Estimate]]],
    scale: float = 1.0,
    unit: str = "°",
    ceiling: float = math.inf,
) -> str:
    """One line a method over the angle, or a clip over its frames, with its interval as a band.

    Args:
        title: with the unit.
        curves: (angle or frame, mean) by method or clip.
        scale: what the numbers are multiplied by.
        unit: of what goes to the right.
        ceiling: what is above it is drawn there, or one exact frame would flatten all others.
    """
    known = [(angle, value) for curve in curves.values() for angle, value in curve]
    if not known:
        return ""
    lows = [scale * (v.mean if math.isnan(v.low) else v.low) for _, v in known]
    highs = [scale * (v.mean if math.isnan(v.high) else v.high) for _, v in known]
    rungs = _rungs(min(*lows, ceiling), min(max(highs), ceiling))
    low, high, last = rungs[0], rungs[-1], max(angle for angle, _ in known) or 1.0

    def x(angle: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * angle / last

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (min(value, ceiling) - low) / (high - low)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{escape(title)}</title>']
    more = f" ({ceiling:g} or more at the top)" if max(highs) > ceiling else ""
    parts.append(f'<text x="{LEFT}" y="15" class="t">{escape(title + more)}</text>')
    for value in rungs:
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" class="g"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.6g}</text>')
    parts += [
        f'<text x="{x(angle):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{angle:g}{unit}</text>'
        for angle in _ticks({angle for angle, _ in known})
    ]
    for number, (name, curve) in enumerate(curves.items()):
        parts += _line(name, curve, COLORS[number % len(COLORS)], scale, x, y)
    return "".join([*parts, "</svg>"])


def _rungs(low: float, high: float) -> list[float]:
    """Round numbers from below the least value to above the largest: 1, 2 or 5 of a power of ten apart."""
    high = high if high > low else low + 1
    exact = (high - low) / LINES
    power = 10 ** math.floor(math.log10(exact))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= exact * (1 - 1e-9))
    return [number * step for number in range(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1)]


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
