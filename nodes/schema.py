"""The one place where a schema meets hosts of different ages."""

from __future__ import annotations

import dataclasses

from comfy_api.latest import io

CATEGORY = "EX-4D"
NOT_CONNECTED = object()
"""Default of an input in ``validate_inputs``: the host gives None for one that is connected, and nothing for one that is not."""


def schema(**keywords) -> io.Schema:
    """``io.Schema`` without the keywords that this host does not know; the category is EX-4D unless given.

    One unknown keyword would otherwise lose the whole pack. 0.3.64 knows neither ``search_aliases`` nor
    ``has_intermediate_output``: with it a newer host shows a node's previews again where the node itself comes from the
    cache, as after the page was loaded anew. It does so for output nodes anyway, and for those that say both twice.
    """
    keywords.setdefault("category", CATEGORY)
    known = {field.name for field in dataclasses.fields(io.Schema)}
    return io.Schema(**{key: value for key, value in keywords.items() if key in known})


def advanced(given: io.Input) -> io.Input:
    """An input that few need: its node shows it on request. As a keyword 0.3.64 does not know it."""
    given.extra_dict["advanced"] = True
    return given


def range_problem(node: type[io.ComfyNode], **values: float | None) -> str | None:
    """The sentence for the first number outside its widget's range; None where all fit.

    The host leaves this check to a node for every input that its ``validate_inputs`` names. A linked input is None.
    """
    for given in inputs_of(node):
        value = values.get(given.id)
        if value is not None and not given.min <= value <= given.max:
            return f"{given.id} must lie between {given.min:g} and {given.max:g}, got {value:g}."
    return None


def choice_problem(node: type[io.ComfyNode], **values: str | None) -> str | None:
    """The sentence for the first choice that its widget does not offer; None where all are.

    ComfyUI 0.3.64 does not look, newer hosts leave it to a node for every input that its ``validate_inputs`` names, and
    none sees what arrives over a link. A linked input is None before the run.
    """
    for given in inputs_of(node):
        value = values.get(given.id)
        if value is not None and value not in given.options:
            return f"{given.id} must be one of: {', '.join(given.options)}; got '{value}'."
    return None


def inputs_of(node: type[io.ComfyNode]) -> list[io.Input]:
    """A node's inputs, from the schema that the host read last: to define it anew may list folders."""
    return (node.SCHEMA or node.define_schema()).inputs
