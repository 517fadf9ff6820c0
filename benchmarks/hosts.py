"""A short run of the pack on other ComfyUI releases than those that CI tests: does it load, render, sample, cut windows?

    python benchmarks/hosts.py ~/comfy/ComfyUI-0.8 ~/comfy/ComfyUI-0.18

For each checkout, in the environment of the tests (``python dev.py hosts`` names those): the nodes that it lists, the graph
"Re-shoot geometry only" at full size to its saved video, five steps with tiny weights through KSampler and through the
Wan EX-4D Sampler against the trajectory recorded from the published code, and stock context windows: every forward against
that of the same frames alone. Prints a Markdown row each; what a host refuses is printed in its words. Exit code 1 where
anything else goes wrong.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from harness import documents, hosts, recorded, workflow  # noqa: E402
from harness.server import Server  # noqa: E402
from harness.wan import Tiny, distance, node  # noqa: E402

GRAPH = "Re-shoot geometry only"
TRAJECTORY, FORWARD = 5e-5, 1e-5
"""Relative distances that count as equal: of a latent after five steps, of one forward."""
HEADINGS = ("ComfyUI", "nodes", "import", "geometry graph", "KSampler", "Wan EX-4D Sampler", "context windows")


class Failed(Exception):
    """What a host does wrong, in a few words."""


def listed(server: Server) -> str:
    """How many of the pack's nodes the host lists."""
    here = {path.stem for path in documents.DOCS.glob("*.md")}
    lacking = here - documents.pack_nodes(server.client.object_info()).keys()
    if lacking:
        raise Failed(f"lacks {', '.join(sorted(lacking))}")
    return str(len(here))


def import_seconds(server: Server) -> str:
    """What the host says that loading the pack has cost."""
    lines = re.findall(rf"([\d.]+) seconds: .*{server.folder_name}$", server.log(), re.MULTILINE)
    if not lines:
        raise Failed("not imported")
    return f"{float(lines[-1]):.1f} s"


def geometry(server: Server) -> str:
    """The graph from the demo clip to the saved video."""
    from ex4d_core.video import load_video

    prompt = workflow.to_prompt(workflow.load(ROOT / "workflows" / f"{GRAPH}.json"), server.client.object_info())
    result = server.client.queue(prompt, timeout=600).ok()
    (saved,) = (key for key, entry in prompt.items() if entry["class_type"] == "SaveVideo")
    (file,) = result.outputs[saved]["images"]
    frames = load_video(server.output / file["subfolder"] / file["filename"]).frames
    if frames.shape != (49, 512, 512, 3):
        raise Failed(f"made a video of {tuple(frames.shape)}")
    return f"{len(frames)} frames"


def sampled(tiny: Tiny, prompt: dict) -> str:
    """How far a run's latent is from the recorded one."""
    off = distance(
        tiny.run(prompt, latent=("latent", 0))["latent"], tiny.golden("traj_r16_cfg5_final", "sampler_golden")
    )
    if not off < TRAJECTORY:
        raise Failed(f"off by {off:.1e}")
    return f"{off:.1e}"


def windows(tiny: Tiny) -> str:
    """The largest distance of a forward in a window from the same frames alone, or the sentence that refuses them."""
    prompt = tiny.loaders() | tiny.windows() | tiny.conditioning(("windows", 0))
    prompt |= tiny.ksampler(2, 1, ("spy", 0), seed=7)
    prompt["spy"] = node("EX4DTestSpy", model=["ready", 0], name="windows")
    prompt["alone"] = node("EX4DTestAlone", model=["ready", 0], after=["sampled", 0], name="windows")
    prompt["off"] = node("EX4DTestRecord", value=["alone", 0], name="off")
    result = tiny.server.client.queue(prompt)
    if result.status == "error" and "context windows" in result.message:
        return f"refused: {result.message.strip()}"
    off = json.loads(json.loads(result.ok().text("off")))
    if not max(off["as they are"]) < FORWARD < min(off["a frame beside"]):
        raise Failed(f"off by {max(off['as they are']):.1e}")
    return f"{max(off['as they are']):.1e}"


def row(host: hosts.Host) -> tuple[list[str], bool]:
    """A host's cells, and whether all went well."""
    cells, good = [host.version], True
    with tempfile.TemporaryDirectory() as folder, Server(host, Path(folder)) as server:
        tiny = Tiny(server, recorded.folder())
        steps: list[Callable[[], str]] = [
            lambda: listed(server),
            lambda: import_seconds(server),
            lambda: geometry(server),
            lambda: sampled(tiny, tiny.loaders() | tiny.conditioning() | tiny.ksampler()),
            lambda: sampled(tiny, tiny.loaders() | tiny.sampler()),
            lambda: windows(tiny),
        ]
        for step in steps:
            try:
                cells.append(step())
            except (Failed, AssertionError, TimeoutError) as error:
                cells.append(f"FAILED: {error}".splitlines()[0])
                good = False
    return cells, good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hosts", nargs="+", type=Path, help="ComfyUI checkouts")
    options = parser.parse_args()
    unknown = [str(path) for path in options.hosts if not hosts.is_comfyui(path)]
    if unknown:
        parser.error(f"no ComfyUI checkout: {', '.join(unknown)}")
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}", flush=True)
    good = True
    for path in options.hosts:
        cells, well = row(hosts.read_host(path.resolve()))
        print(f"| {' | '.join(cells)} |", flush=True)
        good &= well
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
