"""What a newcomer waits for: the first Run of "Re-shoot geometry only" in a fresh host, with and without numba, nothing compiled.

    python benchmarks/first_run.py [--comfyui PATH] [--before CHECKOUT] [--numba without with] [--again]

Each run has a server and an empty folder for machine code of its own. Seconds from Run to the demo clip's film and to the saved
video, and the seconds of processor time that the server took meanwhile: on a machine that does other work only those tell, and
only beside another side of the same call. --before measures another checkout in turns with this one; --again runs the graph a
second time in the same server, with another angle, so that nothing comes from the host's cache.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import psutil  # noqa: E402
from harness import hosts, workflow  # noqa: E402
from harness.server import Server  # noqa: E402

GRAPH = "Re-shoot geometry only"
HIDE = "import sys\nsys.modules['numba'] = sys.modules['llvmlite'] = None\n"
"""As where numba is not installed."""
PATIENCE = 1800
"""Seconds for a server to start, and for a run: enough for a machine that does other work."""


@dataclass(frozen=True)
class Moment:
    """Seconds after Run, and of processor time since then."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:5.1f} s ({self.processor:5.1f})"


def processor_seconds(server: Server) -> float:
    """What the server has used so far, with its children."""
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    spent = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(times.user + times.system for times in spent)


def run(server: Server, angle: float) -> tuple[Moment, Moment, dict[str, float]]:
    """The first preview, the end, and the processor time of every node."""
    prompt = workflow.to_prompt(workflow.load(ROOT / "workflows" / f"{GRAPH}.json"), server.client.object_info())
    for entry in prompt.values():
        if entry["class_type"] == "EX4DCameraTrajectory":
            entry["inputs"]["angle"] = angle
    begin, spent = monotonic(), processor_seconds(server)
    marks: list[tuple[str, float]] = []
    shown: list[Moment] = []

    def now() -> Moment:
        return Moment(monotonic() - begin, processor_seconds(server) - spent)

    def heard(kind: str, data: dict) -> None:
        if kind == "executing" and data.get("node"):
            marks.append((prompt[data["node"]]["class_type"], now().processor))
        elif kind == "executed" and not shown:
            shown.append(now())

    server.client.queue(prompt, timeout=PATIENCE, on_message=heard).ok()
    end = now()
    ends = [processor for _, processor in marks[1:]] + [end.processor]
    nodes = {name: until - since for (name, since), until in zip(marks, ends, strict=True)}
    return shown[0], end, nodes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, help="a checkout; else the newest that the tests find")
    parser.add_argument("--before", type=Path, help="a checkout of this pack to compare with")
    parser.add_argument("--numba", nargs="+", choices=("without", "with"), default=("without", "with"))
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    host = hosts.read_host(options.comfyui.resolve()) if options.comfyui else hosts.find_hosts()[-1]
    sides = {"before": options.before.resolve(), "now": ROOT} if options.before else {"now": ROOT}
    print(f"ComfyUI {host.version}; seconds from Run, and of processor time in brackets")
    for numba in options.numba:
        for name, root in sides.items():
            with tempfile.TemporaryDirectory() as folder:
                hidden = Path(folder) / "hidden"
                hidden.mkdir()
                if numba == "without":
                    (hidden / "sitecustomize.py").write_text(HIDE)
                server = Server(host, Path(folder), test_nodes=False, root=root, python_path=(hidden,))
                try:
                    server.start(timeout=PATIENCE)
                    for angle in (60.0, 50.0) if options.again else (60.0,):
                        preview, end, nodes = run(server, angle)
                        which = "first" if angle == 60.0 else "second"
                        print(f"{numba:7} numba, {name:6} {which:6}: preview {preview}, whole graph {end}", flush=True)
                        print("   ", ", ".join(f"{node} {spent:.1f}" for node, spent in nodes.items()), flush=True)
                finally:
                    server.stop()


if __name__ == "__main__":
    main()
