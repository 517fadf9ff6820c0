"""Test nodes as functions: the name of the function is the node's, its keyword inputs and outputs are named above it."""

from __future__ import annotations

from collections.abc import Callable


class AnyType(str):
    """Connects to every socket."""

    def __ne__(self, other: object) -> bool:
        return False


ANY = AnyType("*")
TENSOR = "LATENT_TENSOR"
TEXT = ("STRING", {"default": ""})
NODES: dict[str, type] = {}


def node(*outputs: str, sink: bool = False, **inputs: object) -> Callable:
    """Registers a function as a ComfyUI node.

    Args:
        outputs: types of what it returns: a tuple, or one bare value where there is one output.
        sink: it is an output node that runs at every prompt and returns what it shows.
        inputs: by name, a socket type or ComfyUI's (type, options).
    """

    def register(function: Callable) -> Callable:
        def run(self, **values):
            result = function(**values)
            return result if sink or isinstance(result, tuple) else (result,)

        required = {name: kind if isinstance(kind, tuple) else (kind,) for name, kind in inputs.items()}
        members = {
            "__doc__": function.__doc__,
            "INPUT_TYPES": classmethod(lambda cls: {"required": required}),
            "RETURN_TYPES": outputs,
            "FUNCTION": "run",
            "CATEGORY": "EX-4D/tests",
            "OUTPUT_NODE": sink,
            "run": run,
        }
        if sink:
            members["IS_CHANGED"] = classmethod(lambda cls, **_: float("nan"))
        NODES[function.__name__] = type(function.__name__, (), members)
        return function

    return register
