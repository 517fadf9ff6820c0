"""From a saved graph to the prompt that the frontend would queue, strictly: every widget by name, nothing left over."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

MUTED, BYPASSED = 2, 4
FRONTEND_ONLY = {"Note", "MarkdownNote"}
PLAIN_WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
DYNAMIC = "COMFY_DYNAMICCOMBO_V3"
"""A choice that brings widgets of its own, by option; newer hosts have it."""
GROWING = "COMFY_AUTOGROW_V3"
"""A row of sockets that gets another one where the last is connected; newer hosts have it."""
UPLOADS = tuple(f"{kind}_upload" for kind in ("image", "video", "animated_image", "audio"))
FILE_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".gguf", ".mp4", ".png", ".npz", ".json")
SUBGRAPH_INPUT, SUBGRAPH_OUTPUT = -10, -20


class WorkflowError(AssertionError):
    """The graph does not fit the nodes' schemas."""


def load(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def input_specs(info: dict) -> dict[str, tuple]:
    """Input name -> (type, options), in the order in which the frontend makes widgets."""
    groups = info["input"]
    return {name: spec for group in ("required", "optional") for name, spec in (groups.get(group) or {}).items()}


def input_spec(info: dict, name: str) -> tuple | None:
    """One input's (type, options); ref_videos.ref_video_0 is the first of an input that grows. None where there is none."""
    specs = input_specs(info)
    group, _, member = name.partition(".")
    if name in specs or not member or specs.get(group, ("",))[0] != GROWING:
        return specs.get(name)
    template = options_of(specs[group])["template"]
    if not re.fullmatch(re.escape(template["prefix"]) + r"\d+", member):
        return None
    return next(spec for kind in template["input"].values() for spec in kind.values())


def options_of(spec) -> dict:
    return spec[1] if len(spec) > 1 else {}


def kind_of(spec):
    """An input's type; of one that takes several, such as "FLOAT,INT", its widget's."""
    return options_of(spec).get("widgetType", spec[0])


def is_widget(spec) -> bool:
    kind = kind_of(spec)
    return (isinstance(kind, list) or kind in PLAIN_WIDGETS or kind == DYNAMIC) and not options_of(spec).get(
        "forceInput"
    )


def choices(spec) -> list | None:
    """The options of a combo; None for other inputs."""
    if isinstance(spec[0], list):
        return spec[0]
    if spec[0] == DYNAMIC:
        return [option["key"] for option in options_of(spec)["options"]]
    return options_of(spec).get("options", []) if spec[0] == "COMBO" else None


def default_of(spec):
    """What a new node's widget holds: the default, else the first choice."""
    return options_of(spec).get("default", next(iter(choices(spec) or []), None))


def widget_defaults(info: dict) -> dict:
    """What a new node's widgets hold, as the frontend makes them."""
    return {name: default_of(spec) for name, spec in input_specs(info).items() if is_widget(spec)}


class SavedValues:
    """The widgets_values of a node, taken in the order of its widgets."""

    def __init__(self, where: str, values: list) -> None:
        self.where, self.left = where, list(values)

    def take(self, name: str, spec, optional: bool):
        """The next value; a graph saved on an older host has none for optional inputs that are newer."""
        if not self.left and not optional:
            raise WorkflowError(f"{self.where}: no value for {name}")
        if not self.left:
            return default_of(spec)
        value = self.left.pop(0)
        check_value(self.where, name, value, spec)
        return value

    def skip(self) -> None:
        """Leave out the value of a widget of the frontend's own."""
        if self.left:
            self.left.pop(0)


def read_widgets(groups: dict, saved: SavedValues, prefix: str = "") -> dict[str, tuple]:
    """Widget name -> (value, spec), in the frontend's order; widgets that a choice brings are called choice.widget."""
    read: dict[str, tuple] = {}
    for group in ("required", "optional"):
        specs = {prefix + name: spec for name, spec in (groups.get(group) or {}).items() if is_widget(spec)}
        for name, spec in specs.items():
            value = saved.take(name, spec, group == "optional")
            read[name] = value, spec
            if spec[0] == DYNAMIC:
                chosen = next(option for option in options_of(spec)["options"] if option["key"] == value)
                read |= read_widgets(chosen["inputs"], saved, f"{name}.")
            if options_of(spec).get("control_after_generate") or (spec[0] == "INT" and name in ("seed", "noise_seed")):
                saved.skip()
        # The upload button stands behind the required inputs.
        if group == "required" and any(options_of(spec).get(key) for spec in specs.values() for key in UPLOADS):
            saved.skip()
    return read


def node_widgets(node: dict, info: dict) -> dict[str, tuple]:
    """Widget name -> (saved value, spec).

    Raises:
        WorkflowError: too many or too few values, or a value its input does not take.
    """
    where, values = f"{node['type']} #{node['id']}", node.get("widgets_values") or []
    if isinstance(values, dict):
        specs = input_specs(info)
        for name, value in values.items():
            check_value(where, name, value, specs[name])
        return {name: (value, specs[name]) for name, value in values.items()}
    saved = SavedValues(where, values)
    read = read_widgets(info["input"], saved)
    if saved.left:
        raise WorkflowError(f"{where}: {values} are {len(saved.left)} values more than the widgets {list(read)}")
    return read


def check_value(where: str, name: str, value, spec) -> None:
    options, allowed = options_of(spec), choices(spec)
    if allowed is not None:
        # File lists differ from machine to machine.
        is_file = any(key.endswith("_upload") for key in options) or str(value).lower().endswith(FILE_SUFFIXES)
        if value not in allowed and not is_file:
            raise WorkflowError(f"{where}: {name} = {value!r} is not one of {allowed}")
        return
    fits = {"INT": lambda: type(value) is int, "FLOAT": lambda: type(value) in (int, float)}
    fits |= {"STRING": lambda: isinstance(value, str), "BOOLEAN": lambda: isinstance(value, bool)}
    if not fits[kind_of(spec)]():
        raise WorkflowError(f"{where}: {name} = {value!r} is no {spec[0]}")
    low, high = options.get("min"), options.get("max")
    if spec[0] in ("INT", "FLOAT") and ((low is not None and value < low) or (high is not None and value > high)):
        raise WorkflowError(f"{where}: {name} = {value!r} is outside {low}..{high}")


def to_prompt(workflow: dict, object_info: dict) -> dict:
    """The API prompt of a saved graph; subgraphs are flattened to ids such as "12:3", as the frontend does.

    Raises:
        WorkflowError: an unknown node, a widget whose value does not fit, an input that does not exist.
    """
    flat = flatten(workflow)
    prompt = {}
    for node_id, (node, links) in flat.items():
        if node["type"] in FRONTEND_ONLY or node.get("mode", 0) in (MUTED, BYPASSED):
            continue
        if node["type"] not in object_info:
            raise WorkflowError(f"unknown node {node['type']}")
        info = object_info[node["type"]]
        widgets = node_widgets(node, info)
        inputs = {name: value for name, (value, _) in widgets.items()}
        for name, source in links.items():
            if input_spec(info, name) is None and name not in widgets:
                raise WorkflowError(f"{node['type']} has no input {name}")
            if source is not None:
                inputs[name] = list(source)
        missing = [name for name in info["input"].get("required", {}) if name not in inputs]
        if missing:
            raise WorkflowError(f"{node['type']} #{node_id} lacks {missing}")
        prompt[node_id] = {"class_type": node["type"], "inputs": inputs}
    return prompt


def flatten(workflow: dict) -> dict[str, tuple[dict, dict]]:
    """Node id -> (node, input name -> (source id, slot) or None), with subgraphs opened."""
    definitions = {d["id"]: d for d in (workflow.get("definitions") or {}).get("subgraphs", [])}
    opened: dict[str, tuple[dict, dict]] = {}
    open_graph(workflow, definitions, "", {}, opened)
    return opened


def read_links(graph: dict) -> dict:
    """Link id -> (origin id, origin slot, target id, target slot)."""
    keys = ("origin_id", "origin_slot", "target_id", "target_slot")
    return {
        (link["id"] if isinstance(link, dict) else link[0]): (
            tuple(link[key] for key in keys) if isinstance(link, dict) else tuple(link[1:5])
        )
        for link in graph.get("links", [])
    }


def open_graph(graph: dict, definitions: dict, prefix: str, outer: dict, opened: dict) -> list:
    """Open one graph into ``opened``; ``outer``: input slot -> source outside. Returns the sources of its outputs."""
    links = read_links(graph)
    by_id = {node["id"]: node for node in graph["nodes"]}
    subgraph_outputs: dict[int, list] = {}

    def source(link_id):
        origin, slot = links[link_id][:2]
        if origin == SUBGRAPH_INPUT:
            return outer.get(slot)
        node = by_id[origin]
        if node["type"] in definitions:
            return inner_outputs(node)[slot]
        return f"{prefix}{origin}", slot

    def inner_outputs(node):
        if node["id"] not in subgraph_outputs:
            definition = copy.deepcopy(definitions[node["type"]])
            given = {}
            named = {entry["name"]: entry for entry in node.get("inputs", [])}
            for slot, entry in enumerate(definition.get("inputs", [])):
                link = named.get(entry["name"], {}).get("link")
                given[slot] = source(link) if link is not None else None
            overlay_widgets(node, definition)
            subgraph_outputs[node["id"]] = open_graph(definition, definitions, f"{prefix}{node['id']}:", given, opened)
        return subgraph_outputs[node["id"]]

    for node in graph["nodes"]:
        if node["type"] in definitions:
            inner_outputs(node)
            continue
        inputs = {
            entry["name"]: source(entry["link"]) for entry in node.get("inputs", []) if entry.get("link") is not None
        }
        opened[f"{prefix}{node['id']}"] = (node, inputs)
    results = {}
    for link_id, (_, _, target, slot) in links.items():
        if target == SUBGRAPH_OUTPUT:
            results[slot] = source(link_id)
    return [results.get(slot) for slot in range(len(graph.get("outputs", []) or []))]


def overlay_widgets(node: dict, definition: dict) -> None:
    """Subgraph nodes may carry their own values for promoted widgets; ours keep them inside, so there must be none."""
    if node.get("widgets_values"):
        raise WorkflowError(f"subgraph node #{node['id']} of {definition.get('name')} carries widget values")
