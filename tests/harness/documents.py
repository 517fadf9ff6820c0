"""Texts that repeat the nodes' schemas: the tables of the help pages and the English locale. ``python dev.py docs``."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

from ex4d_core.camera_io import written_formats

from .hosts import ROOT, find_hosts
from .server import Server
from .workflow import choices, input_specs

DOCS = ROOT / "web" / "docs"
LOCALE = ROOT / "locales" / "en" / "nodeDefs.json"
TABLE = re.compile(r"(<!-- inputs -->\n).*?(<!-- /inputs -->)", re.DOTALL)
FORMATS = re.compile(r"(<!-- formats -->\n).*?(<!-- /formats -->)", re.DOTALL)


def pack_nodes(object_info: dict) -> dict[str, dict]:
    """The pack's nodes among all of a host's; test nodes left out."""
    return {
        name: info
        for name, info in sorted(object_info.items())
        if info["category"].split("/")[0] == "EX-4D" and "tests" not in info["category"]
    }


def label(name: str) -> str:
    """How an input is called on screen: a_name -> a name."""
    return name.replace("_", " ")


def node_defs(nodes: dict[str, dict]) -> dict:
    """The English locale, as ComfyUI's frontend reads it."""
    result = {}
    for name, info in nodes.items():
        inputs = {}
        for key, spec in input_specs(info).items():
            tooltip = spec[1].get("tooltip") if len(spec) > 1 else None
            inputs[key] = {"name": label(key), **({"tooltip": tooltip} if tooltip else {})}
        outputs = {}
        for slot, output in enumerate(info["output_name"]):
            tooltip = (info.get("output_tooltips") or [None] * (slot + 1))[slot]
            outputs[str(slot)] = {"name": label(output), **({"tooltip": tooltip} if tooltip else {})}
        result[name] = {"display_name": info["display_name"], "description": info["description"]}
        result[name] |= {"inputs": inputs} if inputs else {}
        result[name] |= {"outputs": outputs} if outputs else {}
    return result


def value_text(spec) -> str:
    """Type, default and range of an input, in few words."""
    options = spec[1] if len(spec) > 1 else {}
    allowed = choices(spec)
    if any(key.endswith("_upload") for key in options):
        return "file"
    if allowed is not None:
        plain = all(isinstance(option, str) and "." not in option and len(option) < 16 for option in allowed)
        return ", ".join(f"`{option}`" for option in allowed) if plain and 1 < len(allowed) <= 20 else "choice"
    text = {"INT": "whole number", "FLOAT": "number", "STRING": "text", "BOOLEAN": "yes / no"}.get(
        spec[0], f"`{spec[0]}`"
    )
    if spec[0] in ("INT", "FLOAT") and "default" in options:
        text = f"{options['default']:g} ({options.get('min', 0):g} to {options.get('max', 0):g})"
    return text


def table(info: dict) -> str:
    """The inputs and outputs of a node as two Markdown tables."""
    lines = ["| Input | Value | What it does |", "| --- | --- | --- |"]
    optional = set(info["input"].get("optional") or {})
    for name, spec in input_specs(info).items():
        mark = " *(optional)*" if name in optional else ""
        tooltip = (spec[1].get("tooltip") or "") if len(spec) > 1 else ""
        lines.append(f"| **{label(name)}**{mark} | {value_text(spec)} | {tooltip} |")
    if info["output"]:
        lines += ["", "| Output | Type | What it is |", "| --- | --- | --- |"]
        tooltips = info.get("output_tooltips") or [""] * len(info["output"])
        for name, kind, tooltip in zip(info["output_name"], info["output"], tooltips):
            lines.append(f"| **{label(name)}** | `{kind}` | {tooltip or ''} |")
    return "\n".join(lines) + "\n"


def format_table() -> str:
    """The camera formats that can be written, as a Markdown table."""
    lines = ["| Format | File | For | Keeps |", "| --- | --- | --- | --- |"]
    for name, entry in written_formats().items():
        lines.append(f"| `{name}` | {entry.suffixes[0]} | {entry.used_by} | {entry.keeps} |")
    return "\n".join(lines) + "\n"


def with_formats(page: str) -> str:
    """The help page with its table of camera formats renewed."""
    return FORMATS.sub(lambda match: match[1] + format_table() + match[2], page)


def with_table(page: str, info: dict) -> str:
    """The help page with its tables renewed."""
    return TABLE.sub(lambda match: match[1] + table(info) + match[2], page)


def locale_text(nodes: dict[str, dict]) -> str:
    return json.dumps(node_defs(nodes), indent=2, ensure_ascii=False) + "\n"


def write() -> None:
    """Renew all of it from the newest host."""
    with tempfile.TemporaryDirectory() as base, Server(find_hosts()[-1], Path(base), test_nodes=False) as server:
        nodes = pack_nodes(server.client.object_info())
    LOCALE.parent.mkdir(parents=True, exist_ok=True)
    LOCALE.write_text(locale_text(nodes), encoding="utf-8")
    for name, info in nodes.items():
        page = DOCS / f"{name}.md"
        if page.exists():
            page.write_text(with_formats(with_table(page.read_text(encoding="utf-8"), info)), encoding="utf-8")
        else:
            print(f"no help page for {name}")


if __name__ == "__main__":
    write()
