"""Texts that repeat the nodes' schemas: the tables of the help pages and the locales. ``python dev.py docs``.

Other languages come from locales/<language>.json, a table of English sentences and their translations: a sentence that
has changed is no longer found there, so no translation can go stale unseen.
"""

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
LOCALES = ROOT / "locales"
ENGLISH = "en"
LANGUAGES = ("zh", "ja", "ko")
"""Translated ones. The host asks for help at docs/<node>/<language>.md and falls back to English."""
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


class Words:
    """The nodes' words in a language; English is its own translation. Asked for others, it keeps what is missing."""

    def __init__(self, language: str = ENGLISH) -> None:
        self.language = language
        self.table: dict[str, str] = {}
        if language != ENGLISH:
            self.table = json.loads((LOCALES / f"{language}.json").read_text(encoding="utf-8"))
        self.missing: list[str] = []
        self.used: set[str] = set()

    def __call__(self, text: str) -> str:
        """The sentence in this language, or in English where it is not translated."""
        self.used.add(text)
        if self.language != ENGLISH and text not in self.table and text not in self.missing:
            self.missing.append(text)
        return self.table.get(text, text)


def locale_file(language: str) -> Path:
    """The file in which the host looks for the nodes' words."""
    return LOCALES / language / "nodeDefs.json"


def help_page(name: str, language: str = ENGLISH) -> Path:
    """The file in which the host looks for a node's help."""
    return DOCS / f"{name}.md" if language == ENGLISH else DOCS / name / f"{language}.md"


def node_defs(nodes: dict[str, dict], words: Words) -> dict:
    """A locale, as ComfyUI's frontend reads it."""
    result = {}
    for name, info in nodes.items():
        inputs = {}
        for key, spec in input_specs(info).items():
            tooltip = spec[1].get("tooltip") if len(spec) > 1 else None
            inputs[key] = {"name": words(label(key)), **({"tooltip": words(tooltip)} if tooltip else {})}
        outputs = {}
        for slot, output in enumerate(info["output_name"]):
            tooltip = (info.get("output_tooltips") or [None] * (slot + 1))[slot]
            outputs[str(slot)] = {"name": words(label(output)), **({"tooltip": words(tooltip)} if tooltip else {})}
        result[name] = {"display_name": words(info["display_name"]), "description": words(info["description"])}
        result[name] |= {"inputs": inputs} if inputs else {}
        result[name] |= {"outputs": outputs} if outputs else {}
    return result


def value_text(spec, words: Words) -> str:
    """Type, default and range of an input, in few words."""
    options = spec[1] if len(spec) > 1 else {}
    allowed = choices(spec)
    if any(key.endswith("_upload") for key in options):
        return words("file")
    if allowed is not None:
        plain = all(isinstance(option, str) and "." not in option and len(option) < 16 for option in allowed)
        return ", ".join(f"`{option}`" for option in allowed) if plain and 1 < len(allowed) <= 20 else words("choice")
    if spec[0] in ("INT", "FLOAT") and "default" in options:
        limits = (f"{options.get(limit, 0):g}" for limit in ("min", "max"))
        return f"{options['default']:g} {words('({} to {})').format(*limits)}"
    kinds = {"INT": "whole number", "FLOAT": "number", "STRING": "text", "BOOLEAN": "yes / no"}
    return words(kinds[spec[0]]) if spec[0] in kinds else f"`{spec[0]}`"


def table(info: dict, words: Words) -> str:
    """The inputs and outputs of a node as two Markdown tables."""
    lines = [heading(words, "Input", "Value", "What it does"), "| --- | --- | --- |"]
    optional = set(info["input"].get("optional") or {})
    for name, spec in input_specs(info).items():
        mark = f" *{words('(optional)')}*" if name in optional else ""
        tooltip = (spec[1].get("tooltip") or "") if len(spec) > 1 else ""
        lines.append(f"| **{words(label(name))}**{mark} | {value_text(spec, words)} | {tooltip and words(tooltip)} |")
    if info["output"]:
        lines += ["", heading(words, "Output", "Type", "What it is"), "| --- | --- | --- |"]
        tooltips = info.get("output_tooltips") or [""] * len(info["output"])
        for name, kind, tooltip in zip(info["output_name"], info["output"], tooltips):
            lines.append(f"| **{words(label(name))}** | `{kind}` | {tooltip and words(tooltip)} |")
    return "\n".join(lines) + "\n"


def heading(words: Words, *columns: str) -> str:
    """The first line of a Markdown table."""
    return f"| {' | '.join(map(words, columns))} |"


def format_table() -> str:
    """The camera formats that can be written, as a Markdown table."""
    lines = ["| Format | File | For | Keeps |", "| --- | --- | --- | --- |"]
    for name, entry in written_formats().items():
        lines.append(f"| `{name}` | {entry.suffixes[0]} | {entry.used_by} | {entry.keeps} |")
    return "\n".join(lines) + "\n"


def with_formats(page: str) -> str:
    """The help page with its table of camera formats renewed."""
    return FORMATS.sub(lambda match: match[1] + format_table() + match[2], page)


def with_table(page: str, info: dict, words: Words) -> str:
    """The help page with its tables renewed."""
    return TABLE.sub(lambda match: match[1] + table(info, words) + match[2], page)


def locale_text(nodes: dict[str, dict], words: Words) -> str:
    return json.dumps(node_defs(nodes, words), indent=2, ensure_ascii=False) + "\n"


def write() -> None:
    """Renew all of it from the newest host."""
    with tempfile.TemporaryDirectory() as base, Server(find_hosts()[-1], Path(base), test_nodes=False) as server:
        nodes = pack_nodes(server.client.object_info())
    for language in (ENGLISH, *LANGUAGES):
        words = Words(language)
        locale_file(language).parent.mkdir(parents=True, exist_ok=True)
        locale_file(language).write_text(locale_text(nodes, words), encoding="utf-8")
        for name, info in nodes.items():
            page = help_page(name, language)
            if page.exists():
                text = with_table(page.read_text(encoding="utf-8"), info, words)
                page.write_text(with_formats(text) if language == ENGLISH else text, encoding="utf-8")
            elif language == ENGLISH:
                print(f"no help page for {name}")
        for text in words.missing:
            print(f"not translated into {language}: {text}")


if __name__ == "__main__":
    write()
