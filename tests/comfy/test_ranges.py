"""Values outside a widget's range, sent past the browser: refused before anything runs, with the limit."""

from __future__ import annotations

from harness import workflow
from harness.documents import pack_nodes
from test_geometry_nodes import record


def numbers(info: dict):
    """(node, input, options) of every number widget of the pack."""
    for kind, node in pack_nodes(info).items():
        for name, spec in workflow.input_specs(node).items():
            if spec[0] in ("INT", "FLOAT"):
                yield kind, name, spec[1]


def test_every_number_beyond_its_range_is_refused_with_the_limit(client):
    """Naming an input in validate_inputs switches the host's own check of it off."""
    info = client.object_info()
    checked = 0
    for kind, name, options in numbers(info):
        for limit, beyond, words in (("min", -1, "smaller than min"), ("max", 1, "bigger than max")):
            value = options[limit] + beyond
            inputs = {
                n: spec[1].get("default") for n, spec in workflow.input_specs(info[kind]).items() if len(spec) > 1
            }
            result = client.queue({"node": {"class_type": kind, "inputs": inputs | {name: value}}, "r": record("node")})
            errors = result.node_errors.get("node", {}).get("errors", [])
            told = [e for e in errors if (e.get("extra_info") or {}).get("input_name") == name]
            text = "\n".join(f"{e['message']} {e['details']}" for e in told)
            assert result.status == "refused" and told, f"{kind}.{name} = {value}: {result.status} {errors}"
            assert words in text or f"{options[limit]:g}" in text, f"{kind}.{name} = {value}: {text}"
            checked += 1
    assert checked > 60


FROM_FOLDERS = {"file", "model", "prior_file", "vectors_file"}
"""Choices that list what lies in a folder at the moment; other tests hold them to it."""


def test_every_choice_that_is_not_offered_is_refused(client):
    """ComfyUI 0.3.64 lets any word pass where a node does not look."""
    info = client.object_info()
    checked = set()
    for kind, node in pack_nodes(info).items():
        specs = workflow.input_specs(node)
        for name, spec in specs.items():
            if name in FROM_FOLDERS or not (spec[0] == "COMBO" or isinstance(spec[0], list)):
                continue
            inputs = {n: s[1].get("default") for n, s in specs.items() if len(s) > 1}
            result = client.queue(
                {"node": {"class_type": kind, "inputs": inputs | {name: "no such"}}, "r": record("node")}
            )
            errors = result.node_errors.get("node", {}).get("errors", [])
            told = [e for e in errors if (e.get("extra_info") or {}).get("input_name") == name]
            text = "\n".join(f"{e['message']} {e['details']}" for e in told)
            assert result.status == "refused" and "no such" in text, f"{kind}.{name}: {result.status} {errors}"
            checked.add(name)
    assert {"kind", "preset", "ease", "backend", "first_frame", "style", "format", "memory", "mode"} <= checked, checked
