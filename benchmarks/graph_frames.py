"""A digest of every frame that the example graphs make, to tell whether a change of the code changed a pixel.

    python benchmarks/graph_frames.py before.json --checkout ../old --host ~/comfy/ComfyUI
    python benchmarks/graph_frames.py after.json --against before.json

Runs the graphs of this checkout with the pack of ``--checkout`` (default: this one) in one ComfyUI: those without models
as published, the others with tiny weights on a small clip (tests/harness/chain.py). Digested are the IMAGE and MASK
outputs of the pack's nodes and of VAE Decode as float values, and saved videos and previews as decoded pictures; what the
nodes say is kept as text. With ``--against`` every output that differs is printed, of the graphs that are in both files,
and the exit code is 1.

Digests of two runs agree only on one machine: other CPUs and other numbers of cores round differently.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from harness import chain, hosts, recorded, workflow  # noqa: E402
from harness.server import Server  # noqa: E402
from harness.wan import node  # noqa: E402

from ex4d_core.video.pyav import fraction  # noqa: E402

PICTURES = ("IMAGE", "MASK")
FOREIGN = ("VAEDecode",)
"""Nodes of others whose pictures count too."""


def digest(array: np.ndarray) -> str:
    """16 hexadecimal digits of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()[:16]


def tensor_frames(frames: torch.Tensor) -> dict:
    """What is kept of an output (T, ...)."""
    return {
        "shape": list(frames.shape),
        "dtype": str(frames.dtype),
        "frames": [digest(frame.numpy()) for frame in frames],
    }


def file_frames(data: bytes) -> dict:
    """What is kept of a video or picture file: its decoded frames."""
    import av

    with av.open(io.BytesIO(data)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        stream = container.streams.video[0]
        rate = str(fraction(stream.average_rate))
        return {"shape": list(frames[0].shape), "rate": rate, "frames": [digest(f) for f in frames]}


def with_records(prompt: dict, info: dict) -> tuple[dict, dict[str, str]]:
    """The prompt with a recording node on every picture output, and the recording's name -> "class #id, output"."""
    records, names = {}, {}
    for key, entry in prompt.items():
        kind = entry["class_type"]
        if not (kind.startswith("EX4D") or kind in ("WanEX4DSampler", *FOREIGN)) or kind.startswith("EX4DTest"):
            continue
        outputs = zip(info[kind]["output"], info[kind]["output_name"], strict=True)
        for slot, (socket, title) in enumerate(outputs):
            if socket in PICTURES:
                name = f"frames_{len(names)}"
                records[name] = node("EX4DTestRecord", value=[key, slot], name=name)
                names[name] = f"{kind} #{key}, {title}"
    return prompt | records, names


def run_graph(server: Server, prompt: dict) -> dict:
    """Output -> what is kept of it."""
    prompt, names = with_records(prompt, server.client.object_info())
    result = server.client.queue(prompt, timeout=1800).ok()
    kept = {}
    for name, title in names.items():
        file = server.output / f"{name}.pt"
        kept[title] = tensor_frames(torch.load(file, weights_only=True))
        file.unlink()
    for key, shown in sorted(result.outputs.items()):
        if key in names:
            continue
        title = f"{prompt[key]['class_type']} #{key}"
        for number, image in enumerate(shown.get("images", [])):
            kept[f"{title}, shown {number}"] = file_frames(server.client.view(image))
        if shown.get("text"):
            kept[f"{title}, text"] = {"text": shown["text"]}
    return kept


def prompts(server: Server, reference: Path, models: bool) -> Iterator[tuple[str, dict]]:
    """Every example graph by name, ready to be queued; its models lie in place while the caller runs it."""
    client = server.client
    for path in sorted(chain.WORKFLOWS.glob("*.json")):
        if not chain.needs_models(path):
            yield path.stem, workflow.to_prompt(workflow.load(path), client.object_info())
            continue
        if not models:
            continue
        with chain.depth_models(server, reference):
            if path.stem not in chain.GRAPHS:
                yield path.stem, chain.small_depth_graph(client, path)
                continue
            with chain.wan_models(server, reference) as tiny:
                yield path.stem, chain.small_graph(tiny, client, path).prompt


def measure(host: hosts.Host, checkout: Path, models: bool) -> dict:
    """The graphs in one server, those with models only where asked."""
    graphs = {}
    with tempfile.TemporaryDirectory() as folder, Server(host, Path(folder), root=checkout) as server:
        for name, prompt in prompts(server, recorded.folder(), models):
            graphs[name] = run_graph(server, prompt)
            print(f"{name}: {sum(len(kept.get('frames', [])) for kept in graphs[name].values())} frames", flush=True)
    return {"host": host.version, "torch": torch.__version__, "threads": torch.get_num_threads(), "graphs": graphs}


def differences(before: dict, after: dict) -> list[str]:
    """One line for every output that is not the same."""
    lines = []
    for graph in sorted(before["graphs"].keys() & after["graphs"].keys()):
        old, new = (side["graphs"].get(graph, {}) for side in (before, after))
        for output in sorted(old.keys() | new.keys()):
            a, b = old.get(output), new.get(output)
            if a == b:
                continue
            where = f"{graph}: {output}"
            if a is None or b is None:
                lines.append(f"{where} is {'new' if a is None else 'gone'}")
            elif "frames" in a and a["shape"] == b["shape"] and len(a["frames"]) == len(b["frames"]):
                other = [t for t, pair in enumerate(zip(a["frames"], b["frames"], strict=True)) if pair[0] != pair[1]]
                lines.append(f"{where} differs in {len(other)} of {len(a['frames'])} frames, first {other[:1]}")
            else:
                brief = [json.dumps({k: v for k, v in side.items() if k != "frames"}) for side in (a, b)]
                lines.append(f"{where}: {brief[0]} became {brief[1]}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="JSON file to write")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="the checkout whose pack is run")
    parser.add_argument("--host", type=Path, help="a ComfyUI checkout; the oldest that the tests use where left out")
    parser.add_argument("--geometry", action="store_true", help="leave out the graphs with models")
    parser.add_argument("--against", type=Path, help="an earlier JSON file to compare with")
    options = parser.parse_args()
    host = hosts.read_host(options.host.resolve()) if options.host else hosts.find_hosts()[0]
    result = measure(host, options.checkout.resolve(), not options.geometry)
    options.output.write_text(json.dumps(result, indent=1), encoding="utf-8")
    if options.against is None:
        return 0
    lines = differences(json.loads(options.against.read_text(encoding="utf-8")), result)
    print("\n".join(lines) or f"every frame of {len(result['graphs'])} graphs is the same")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
