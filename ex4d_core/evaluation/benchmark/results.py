"""All grades of a run summed up: means with intervals, curves by angle, what became worse since another report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import EX4DError
from ..bootstrap import Estimate, estimate
from ..similarity import psnr
from .cases import RANGES
from .grade import MEASURES, Grade

STEP = 15.0
"""Degrees of a bin of the curves by angle."""
TOLERANCES = {"dB": 0.1, "%": 0.002, "degrees": 0.1}
"""By how much a mean may be worse and still count as the same, by unit; shares are of 1."""


@dataclass(frozen=True)
class Entry:
    """The grades of one method on one range of one case."""

    case: str
    span: str
    method: str
    grades: tuple[Grade, ...]

    def mean(self, measure: str) -> float | None:
        """Over its frames; None where no frame has a number."""
        return pooled([getattr(one, measure) for one in self.grades], measure)


def pooled(values: list[float], measure: str) -> float | None:
    """The mean of frames. PSNR is that of the mean squared error: one exact frame would outweigh all others.

    Args:
        values: of one measure; NaN is left out.
        measure: one of `MEASURES`.

    Returns:
        None where there is no number; infinite where nothing differs in any frame.
    """
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return None
    if MEASURES[measure].unit != "dB":
        return sum(known) / len(known)
    return psnr(sum(10 ** (-value / 10) for value in known) / len(known))


@dataclass(frozen=True)
class Regression:
    """A mean that is worse than in another report by more than the tolerance."""

    method: str
    span: str
    measure: str
    before: float
    now: float


def methods_of(entries: Iterable[Entry]) -> list[str]:
    """In the order in which they ran."""
    return list(dict.fromkeys(entry.method for entry in entries))


def spans_of(entries: Iterable[Entry]) -> list[str]:
    """The paper's ranges first, in its order."""
    there = dict.fromkeys(entry.span for entry in entries)
    return [*(span for span in RANGES if span in there), *(span for span in there if span not in RANGES)]


def table(entries: list[Entry]) -> dict[str, dict[str, dict[str, Estimate]]]:
    """Method -> range -> measure -> the mean over cases, whose interval is drawn from the cases."""
    return {
        method: {
            span: {
                measure: estimate([e.mean(measure) for e in entries if (e.method, e.span) == (method, span)])
                for measure in MEASURES
            }
            for span in spans_of(entries)
        }
        for method in methods_of(entries)
    }


def by_angle(entries: list[Entry], method: str, measure: str) -> list[tuple[float, Estimate]]:
    """The mean of all frames near each multiple of 15 degrees, to either side; its interval is drawn from the cases."""
    bins: dict[float, dict[str, list[float]]] = {}
    for entry in entries:
        if entry.method != method:
            continue
        for one in entry.grades:
            angle = STEP * round(abs(one.angle) / STEP)
            bins.setdefault(angle, {}).setdefault(entry.case, []).append(getattr(one, measure))
    return [
        (angle, found)
        for angle, cases in sorted(bins.items())
        if (found := estimate([pooled(values, measure) for values in cases.values()])).count
    ]


def document(entries: list[Entry], settings: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """What report.json holds: settings, means, curves and every frame."""
    found = table(entries)
    return {
        "settings": settings,
        "measures": {name: {"title": m.title, "unit": m.unit, "better": m.better} for name, m in MEASURES.items()},
        "mean": {
            method: {span: {name: _plain(value) for name, value in row.items()} for span, row in spans.items()}
            for method, spans in found.items()
        },
        "by_angle": {
            method: {
                name: [[angle, _plain(value)] for angle, value in by_angle(entries, method, name)] for name in MEASURES
            }
            for method in found
        },
        "frames": [
            {"case": e.case, "range": e.span, "method": e.method, "grades": [one.plain() for one in e.grades]}
            for e in entries
        ],
        "problems": problems,
    }


def _plain(value: Estimate) -> dict[str, float | int | None]:
    numbers = {"mean": value.mean, "low": value.low, "high": value.high}
    return {key: round(n, 6) if math.isfinite(n) else None for key, n in numbers.items()} | {"cases": value.count}


def read_report(file: Path) -> dict[str, Any]:
    """Another run's report.json.

    Raises:
        EX4DError: not there, or something else.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        _ = found["mean"], found["settings"]["benchmark"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise EX4DError(f"'{file}' is no report of a benchmark: give the report.json that a run wrote.") from error
    return found


def regressions(entries: list[Entry], before: dict[str, Any]) -> list[Regression]:
    """Means that are worse than in another report, beyond `TOLERANCES`; what only one of the two has is left out."""
    worse = []
    for method, spans in table(entries).items():
        for span, row in spans.items():
            for name, value in row.items():
                old = before["mean"].get(method, {}).get(span, {}).get(name, {}).get("mean")
                if old is None or not math.isfinite(value.mean):
                    continue
                measure = MEASURES[name]
                loss = (old - value.mean) * (1 if measure.better == "higher" else -1)
                if loss > TOLERANCES[measure.unit]:
                    worse.append(Regression(method, span, name, old, value.mean))
    return worse


def by_eye(grade: Grade) -> float:
    """What makes a frame the worst: PSNR over visible pixels, or over all where it is not known which those are."""
    return grade.psnr if math.isnan(grade.psnr_visible) else grade.psnr_visible


def worst_frames(entries: list[Entry], method: str, count: int) -> list[tuple[Entry, int]]:
    """The worst frames by `by_eye`, each of another case and range."""
    lowest = []
    for entry in entries:
        if entry.method == method:
            known = [(by_eye(one), t) for t, one in enumerate(entry.grades) if math.isfinite(by_eye(one))]
            if known:
                lowest.append((min(known), entry))
    lowest.sort(key=lambda found: found[0])
    return [(entry, t) for (_, t), entry in lowest[:count]]


def shown(value: Estimate, measure: str) -> str:
    """For people: "mean ± half of the interval" in the measure's unit, "-" where there is none."""
    if not value.count or math.isnan(value.mean):
        return "-"
    scale = MEASURES[measure].scale
    spread = "" if math.isnan(value.low) else f" ± {scale * value.half:.2f}"
    return f"{scale * value.mean:.2f}{spread}"


def _latex_range(span: str) -> str:
    return rf"${span}^\circ$" if span in RANGES else span.replace("_", r"\_")


def latex(entries: list[Entry], measures: tuple[str, ...] = ("see_through", "hole_iou", "psnr_shown")) -> str:
    """A table for papers: a row a method, a group of columns a range; needs booktabs."""
    found, spans = table(entries), spans_of(entries)
    lines = [r"\begin{tabular}{l" + "r" * len(spans) * len(measures) + "}", r"\toprule"]
    lines.append(
        " & ".join(["", *(rf"\multicolumn{{{len(measures)}}}{{c}}{{{_latex_range(s)}}}" for s in spans)]) + r" \\"
    )
    heads = [f"{MEASURES[name].title} ({MEASURES[name].unit})".replace("%", r"\%") for name in measures]
    lines += [" & ".join(["method", *(heads * len(spans))]) + r" \\", r"\midrule"]
    for method, row in found.items():
        cells = [shown(row[span][name], name).replace("±", r"$\pm$") for span in spans for name in measures]
        lines.append(" & ".join([method, *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])
