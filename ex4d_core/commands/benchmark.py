"""Measure the geometry on exact truth: draw a seeded set of scenes, compare ways to carry a clip to other cameras.

  benchmark make --output_dir set
  benchmark import dycheck iphone/ --output_dir set
  benchmark run --set set --output_dir report [--videos NAME=FOLDER]

`make` draws scenes with exact depth, source cameras of five kinds and the truth of target cameras on four ranges (0 to 30, 60 and
90 degrees, -90 to 90). `import` brings a public set of clips filmed by several cameras into the same form, from where you put it:
dycheck (the iPhone set), nvidia (Dynamic Scenes), kubric (Kubric-4D), multicam (MultiCamVideo) or v2m4. `run` shows each clip by
every method from the same depth and cameras, and writes report.html (one page), report.json, table.tex and a line into
history.jsonl. Exit code 2 where something was not measured or became worse. Started by accelerate launch or torchrun, on any
number of machines with a common folder, each process measures its share of the cases.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, EX4DError
from ..machine import extras
from ..storage.staging import check_targets, staged_folder
from .bench import machine
from .console import ProgressBar, interrupted, say
from .exits import INCOMPLETE
from .flags import number, whole

if TYPE_CHECKING:
    from ..evaluation.adherence import Adherence
    from ..evaluation.benchmark.cases import Filmed, Target
    from ..evaluation.benchmark.methods import Shown
    from ..evaluation.benchmark.noise import DepthNoise
    from ..evaluation.benchmark.page import WorstFrame
    from ..evaluation.benchmark.results import Entry, Regression
    from ..evaluation.html import Film

HTML, JSON, TEX, HISTORY = "report.html", "report.json", "table.tex", "history.jsonl"
WORST = 4
"""Frames that the page shows."""
FILMS = 2
"""Films that it shows, of the clips whose worst frames are the worst."""
WORST_OF = "paper"
"""The method whose worst frames they are; the first where it did not run."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    from ..depth.refine import MENDS
    from ..evaluation.benchmark.cases import SETS
    from ..evaluation.benchmark.methods import METHODS
    from ..evaluation.sets.kinds import KINDS

    add = parser.add_argument
    add("what", choices=("make", "import", "run"), help="draw a set, bring a public one in, or measure on one")
    add("kind", nargs="?", choices=tuple(KINDS), help="import: which public set")
    add("folder", nargs="?", help="import: where it lies; all of it, some of its scenes, or one")
    add("--output_dir", required=True, help="folder for the set, or for the report")
    add("--size", choices=tuple(SETS), default="small", help="make: which set (default small: 10 scenes of 256x256)")
    add("--start", type=whole(0), default=0, help="import: first frame (default 0)")
    add(
        "--num_frames",
        type=whole(1),
        default=49,
        help="import: frames of a clip, fewer where it has fewer (default 49)",
    )
    add("--every", type=whole(1), default=1, help="import: take every n-th frame (default 1)")
    add("--longest", type=whole(16, 4096), default=512, help="import: pixels of the longer side at most (default 512)")
    add("--cases", nargs="+", metavar="NAME", help="import: only these cases")
    add("--set", dest="set_dir", help="run: folder of a set")
    add(
        "--methods",
        nargs="*",
        choices=tuple(METHODS),
        default=list(METHODS),
        help="run: which (default all; none: only --videos)",
    )
    add(
        "--videos",
        nargs="+",
        default=[],
        metavar="NAME=FOLDER",
        help="run: finished videos, <case>_<range>.mp4 in a folder",
    )
    add("--against", metavar="REPORT", help="run: another run's report.json; what became worse is told and red")
    for name, most, says in (
        ("scale", 1.0, "smooth error of depth, as a share (default 0)"),
        ("flicker", 1.0, "error of whole frames, as a share (default 0)"),
        ("blur", 16.0, "pixels by which edges of depth are blurred (default 0)"),
        ("holes", 1.0, "share of the picture without depth (default 0)"),
    ):
        add(f"--depth_{name}", type=number(0, most), default=0.0, help=f"run: {says}")
    add("--mend_depth", nargs="+", choices=MENDS, default=[], help="run: mend the depth as recon's flag does")


def run(args: argparse.Namespace) -> int:
    """Draw, bring in or measure; see the module."""
    if args.what != "import" and args.kind is not None:
        raise EX4DError(f"{args.what} takes no '{args.kind}'; only import names a public set.")
    return {"make": _make, "import": _import, "run": _run}[args.what](args)


def _make(args: argparse.Namespace) -> int:
    from ..evaluation.benchmark.cases import INDEX, make

    _check_empty(Path(args.output_dir) / INDEX)
    with staged_folder(args.output_dir) as stage, ProgressBar("drawing scenes") as bar:
        make(stage, args.size, progress=bar, cancel=interrupted)
    print(Path(args.output_dir) / INDEX)
    return 0


def _import(args: argparse.Namespace) -> int:
    from ..evaluation.benchmark.cases import INDEX
    from ..evaluation.sets.kinds import KINDS, bring_in
    from ..evaluation.sets.views import Wanted

    if args.folder is None:
        raise EX4DError(f"import needs a public set's name and its folder: benchmark import {'|'.join(KINDS)} FOLDER.")
    _check_empty(Path(args.output_dir) / INDEX)
    wanted = Wanted(args.start, args.num_frames, args.every, args.longest)
    names = None if args.cases is None else set(args.cases)
    with staged_folder(args.output_dir) as stage:
        missing = bring_in(
            args.kind,
            Path(args.folder),
            stage,
            wanted,
            names=names,
            progress=lambda case: say(f"reading {case}"),
            cancel=interrupted,
        )
    for sentence in missing:
        say(sentence)
    print(Path(args.output_dir) / INDEX)
    return 0


def _check_empty(index: Path) -> None:
    if index.exists():
        raise EX4DError(f"'{index.parent}' holds a set already. Give another folder, or remove it.")


def _run(args: argparse.Namespace) -> int:
    from ..evaluation.benchmark.cases import read_index, read_missing
    from ..evaluation.benchmark.noise import DepthNoise
    from ..evaluation.benchmark.page import page
    from ..evaluation.benchmark.results import document, latex, read_report, regressions
    from ..evaluation.benchmark.shares import forget, gathered, keep, share_of

    if args.set_dir is None:
        raise EX4DError("run needs --set: the folder that `benchmark make` drew or `benchmark import` wrote.")
    if not (args.methods or args.videos):
        raise EX4DError("run needs --methods or --videos: what is to be measured.")
    noise = DepthNoise(args.depth_scale, args.depth_flicker, args.depth_blur, args.depth_holes, tuple(args.mend_depth))
    folders = _folders(args.videos, args.methods)
    before = None if args.against is None else read_report(Path(args.against))
    folder, output = Path(args.set_dir), Path(args.output_dir)
    check_targets(output, (HTML, JSON, TEX, HISTORY))
    name, cases = read_index(folder)
    started = time.monotonic()
    share = share_of(os.environ)
    forget(output, share)
    entries, problems = _measure(folder, share.of(cases), args.methods, folders, noise)
    if share.count > 1:
        key = {"benchmark": name, "cases": list(cases), "methods": [*args.methods, *folders], "noise": repr(noise)}
        keep(output, share, key, entries, problems)
        all_of_it = gathered(output, share, key, list(cases))
        if all_of_it is None:
            print(f"share {share.rank} of {share.count} is measured; the last process to end writes the report")
            return 0
        entries, problems = all_of_it
    if not entries:
        raise EX4DError("Nothing could be measured: " + (problems[0] if problems else "the set is empty."))
    worse = [] if before is None else regressions(entries, before)
    settings = _settings(name, cases, noise, before, time.monotonic() - started)
    if missing := read_missing(folder):
        settings["truth that the set does not have"] = "; ".join(missing)
    worst = _worst(folder, entries, folders, noise)
    films = _films(folder, entries, folders, noise)
    with staged_folder(output) as stage:
        report = document(entries, settings, problems)
        (stage / JSON).write_text(json.dumps(report, allow_nan=False) + "\n", encoding="utf-8")
        (stage / HTML).write_text(page(entries, settings, worst, films, worse, problems), encoding="utf-8")
        (stage / TEX).write_text(latex(entries), encoding="utf-8")
        (stage / HISTORY).write_text(_history(output / HISTORY, report), encoding="utf-8")
    _print(entries, worse, problems)
    print(output / HTML)
    return INCOMPLETE if problems or worse else 0


def _folders(given: list[str], methods: list[str]) -> dict[str, Path]:
    folders = {}
    for word in given:
        name, equals, path = word.partition("=")
        if not (name and equals and Path(path).is_dir()):
            raise EX4DError(f"--videos takes NAME=FOLDER with a folder that is there, got '{word}'.")
        if name in methods or name in folders:
            raise EX4DError(f"--videos: there is another method called '{name}'.")
        folders[name] = Path(path)
    return folders


def _measure(
    folder: Path, cases: dict[str, list[str]], methods: list[str], folders: dict[str, Path], noise: DepthNoise
) -> tuple[list[Entry], list[str]]:
    """Every method on every range of every case; one case is in memory at a time."""
    from ..evaluation.benchmark.cases import read_source, read_target
    from ..evaluation.benchmark.grade import grade, known_of
    from ..evaluation.benchmark.results import Entry

    entries: list[Entry] = []
    problems: list[str] = []
    total = sum(len(spans) for spans in cases.values()) * (len(methods) + len(folders))
    with ProgressBar("measuring") as bar:
        done = 0
        for case, spans in cases.items():
            try:
                source, own = _spoilt_source(folder, case, noise), methods
                if not source.has_depth:
                    own = []
                    if methods:
                        problems.append(f"{case}: the set has no depth of it, so only finished videos can be measured")
            except EX4DError as error:
                problems.append(f"{case}: {error}")
                continue
            for span in spans:
                try:
                    truth = read_target(folder, case, span)
                    known = known_of(truth, read_source(folder, case))
                except EX4DError as error:
                    problems.append(f"{case} {span}: {error}")
                    continue
                for method in [*own, *folders]:
                    if interrupted():
                        raise Cancelled
                    try:
                        shown = _shown(method, folders, case, span, source, truth)
                        camera = _camera(shown, source, truth) if method in folders else None
                        entries.append(Entry(case, span, method, tuple(grade(shown, truth, known, camera))))
                    except EX4DError as error:
                        problems.append(f"{case} {span}, {method}: {error}")
                    done += 1
                    bar(done, total)
    return entries, problems


def _spoilt_source(folder: Path, case: str, noise: DepthNoise) -> Filmed:
    from dataclasses import replace

    from ..evaluation.benchmark.cases import read_source
    from ..evaluation.benchmark.gaps import without_gaps
    from ..evaluation.benchmark.noise import spoilt

    source = read_source(folder, case)
    return replace(source, depth=spoilt(without_gaps(source.depth), noise)) if source.has_depth else source


def _shown(method: str, folders: dict[str, Path], case: str, span: str, source: Filmed, truth: Target) -> Shown:
    from ..evaluation.benchmark.methods import METHODS, finished_videos

    if method in folders:
        return finished_videos(folders[method], case, span, truth)
    return METHODS[method](source, truth.path, interrupted)


def _camera(shown: Shown, source: Filmed, truth: Target) -> Adherence | None:
    """How far a finished video's camera is off; None where OpenCV or the truth's depth is missing."""
    from ..evaluation.adherence import Asked, adherence, radius_of

    if not (extras.has("cv2") and source.has_depth and truth.has_depth):
        return None
    asked = Asked(truth.path, truth.depth, radius_of(source.depth))
    return adherence(shown.color, asked, cancel=interrupted)


def _finished(folder: Path, case: str, span: str, truth: Target) -> Shown | None:
    """A finished video; None where it could not be measured either."""
    from ..evaluation.benchmark.methods import finished_videos

    try:
        return finished_videos(folder, case, span, truth)
    except EX4DError:
        return None


def _settings(
    name: str, cases: dict[str, list[str]], noise: DepthNoise, before: dict[str, Any] | None, seconds: float
) -> dict[str, Any]:
    import torch

    from .. import __version__

    return {
        "benchmark": name,
        "cases": ", ".join(cases),
        "depth noise": "none"
        if noise.none
        else ", ".join(
            f"{key} {' and '.join(value) if key == 'mends' else f'{value:g}'}"
            for key, value in vars(noise).items()
            if value
        ),
        "version": __version__,
        "torch": torch.__version__,
        "machine": machine()["processor"],
        "seconds": round(seconds, 1),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "against": "-" if before is None else f"{before['settings'].get('version')}, {before['settings'].get('date')}",
        "interval": "± is half of the 95 % bootstrap interval over cases",
    }


def _worst(folder: Path, entries: list[Entry], folders: dict[str, Path], noise: DepthNoise) -> list[WorstFrame]:
    """The pictures of the worst frames, shown again by every method."""
    from ..evaluation.benchmark.cases import range_title, read_target
    from ..evaluation.benchmark.methods import METHODS
    from ..evaluation.benchmark.page import WorstFrame
    from ..evaluation.benchmark.results import by_eye, methods_of, worst_frames

    methods = methods_of(entries)
    judged = WORST_OF if WORST_OF in methods else methods[0]
    frames = []
    for entry, t in worst_frames(entries, judged, WORST):
        source, truth = _spoilt_source(folder, entry.case, noise), read_target(folder, entry.case, entry.span)
        moment, there = source.beginning_and(t), truth.beginning_and(t)
        pictures = []
        for method in (one for one in methods if one in folders or source.has_depth):
            if method in folders:
                shown, number = _finished(folders[method], entry.case, entry.span, truth), t
            else:
                shown, number = METHODS[method](moment, there.path, interrupted), 1
            if shown is not None:
                pictures.append((method, shown.color[number].numpy().copy()))
        grade = entry.grades[t]
        where = "all" if math.isnan(grade.psnr_visible) else "visible"
        title = f"{entry.case}, {range_title(entry.span)}, frame {t} at {grade.angle:+.0f}°"
        title += f": {judged} {by_eye(grade):.1f} dB {where}"
        # Copies: a view would keep the whole clip in memory until the page is written.
        frames.append(WorstFrame(title, source.rgb[t].numpy().copy(), truth.rgb[t].numpy().copy(), pictures))
    return frames


def _films(folder: Path, entries: list[Entry], folders: dict[str, Path], noise: DepthNoise) -> list[Film]:
    """Films of the worst clips: truth, what the judged method shows, and where the two differ, side by side."""
    from ..evaluation.benchmark.cases import range_title, read_target
    from ..evaluation.benchmark.results import methods_of, worst_frames
    from ..evaluation.html import Film, film_of

    methods = methods_of(entries)
    judged = WORST_OF if WORST_OF in methods else methods[0]
    films = []
    for entry, _ in worst_frames(entries, judged, FILMS):
        truth = read_target(folder, entry.case, entry.span)
        shown = _shown(judged, folders, entry.case, entry.span, _spoilt_source(folder, entry.case, noise), truth)
        films.append(
            Film(
                f"{entry.case}, {range_title(entry.span)}: truth, {judged}, where they differ",
                film_of(shown.color, truth.rgb, cancel=interrupted),
            )
        )
    return films


def _history(file: Path, report: dict[str, Any]) -> str:
    """The lines that there are, and one for this run."""
    old = file.read_text(encoding="utf-8") if file.exists() else ""
    return old + json.dumps({"settings": report["settings"], "mean": report["mean"]}) + "\n"


def _print(entries: list[Entry], worse: list[Regression], problems: list[str]) -> None:
    from ..evaluation.benchmark.cases import range_title
    from ..evaluation.benchmark.grade import MEASURES
    from ..evaluation.benchmark.results import shown, spans_of, table

    spans = spans_of(entries)
    found = table(entries)
    for name, measure in MEASURES.items():
        if not any(row[span][name].count for row in found.values() for span in spans):
            continue
        print(f"\n{measure.title} ({measure.unit}, {measure.better} is better): {measure.says}")
        print("  ".join([f"{'':<14}", *(f"{range_title(span):>18}" for span in spans)]))
        for method, row in found.items():
            print("  ".join([f"{method:<14}", *(f"{shown(row[span][name], name):>18}" for span in spans)]))
    for one in worse:
        scale = MEASURES[one.measure].scale
        say(f"worse: {one.method}, {one.span}: {one.measure} {scale * one.before:.2f} -> {scale * one.now:.2f}")
    for line in problems:
        say(f"not measured: {line}")
