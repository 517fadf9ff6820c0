"""USD's text (.usda) as far as cameras need it: prims in their places, and the attributes that move and focus.

References, variants, payloads and whatever else composes scenes are passed over, as are meshes: exported cameras have none of it.
Source: "Usda File Format" of openusd.org, as facts about it.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..camera import matrix_from_quaternion
from ..errors import EX4DError

TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\#[^\n]*)|(?P<line>\n)"""
    r'''|(?P<text>"""(?:[^\\]|\\.)*?"""|\'\'\'(?:[^\\]|\\.)*?\'\'\'|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')'''
    r"""|(?P<asset>@@@.*?@@@|@[^@\n]*@)|(?P<path><[^>\n]*>)"""
    r"""|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<word>[A-Za-z_!-][\w:.!-]*)|(?P<mark>[()\[\]{}=:,;.&])""",
    re.DOTALL,
)
OPENING, CLOSING = {"(": ")", "[": "]", "{": "}"}, {")", "]", "}"}
DEEPEST = 64
KEPT = re.compile(r"xformOp:|xformOpOrder$|focalLength$|horizontalAperture|verticalAperture|ex4d:|projection$")
"""Attributes that are read; of all others only the end is sought."""
STAGE = {"upAxis", "metersPerUnit", "timeCodesPerSecond", "framesPerSecond", "startTimeCode", "endTimeCode"}


@dataclass
class Attribute:
    """A value, samples of it by time code, or both; samples count where there are any."""

    value: Any = None
    samples: dict[float, Any] = field(default_factory=dict)

    def at(self, time: float) -> Any:
        """Linear between samples, held before the first and after the last, as USD has it.

        Raises:
            ValueError: values that are no numbers, or of two shapes; whoever reads the file says it in a sentence.
        """
        if not self.samples:
            return self.value
        if time in self.samples:
            return self.samples[time]
        place = bisect(self.times, time)
        if place in (0, len(self.times)):
            return self.samples[self.times[max(0, place - 1)]]
        before, after = self.times[place - 1 : place + 1]
        low, high = (np.asarray(self.samples[t], np.float64) for t in (before, after))
        return low + (high - low) * ((time - before) / (after - before))

    @cached_property
    def times(self) -> list[float]:
        """Time codes of the samples, in order."""
        return sorted(self.samples)


@dataclass
class Prim:
    """A prim with its attributes and children."""

    kind: str
    name: str
    attributes: dict[str, Attribute] = field(default_factory=dict)
    children: list[Prim] = field(default_factory=list)

    def cameras(self, above: tuple[Prim, ...] = ()) -> Iterator[tuple[Prim, ...]]:
        """Every camera, as the way to it from the outermost prim."""
        way = (*above, self)
        if self.kind == "Camera":
            yield way
        for child in self.children:
            yield from child.cameras(way)


@dataclass
class Layer:
    """A file: what its first parentheses say of the stage, and its outermost prims."""

    stage: dict[str, Any]
    prims: list[Prim]


class _Tokens:
    """The file's tokens, one after the other."""

    def __init__(self, text: str) -> None:
        self._all = self._split(text)
        self.kind, self.text, self.line = "", "", 1
        self.step()

    @staticmethod
    def _split(text: str) -> Iterator[tuple[str, str, int]]:
        at, line = 0, 1
        while at < len(text):
            found = TOKEN.match(text, at)
            if found is None:
                raise EX4DError(
                    f"line {line} of this USD file cannot be read: {text[at : at + 30]!r}. Export it again."
                )
            kind = found.lastgroup or ""
            if kind not in ("space", "line"):
                yield kind, found[0], line
            line += found[0].count("\n")
            at = found.end()
        yield "end", "", line

    def step(self) -> str:
        """The token, and on to the next."""
        was = self.text
        self.kind, self.text, self.line = next(self._all, ("end", "", self.line))
        return was

    def take(self, mark: str) -> None:
        if self.text != mark or self.kind != "mark":
            raise self.problem(f"expected {mark!r}")
        self.step()

    def problem(self, what: str) -> EX4DError:
        given = "the end" if self.kind == "end" else repr(self.text[:30])
        return EX4DError(f"line {self.line} of this USD file is damaged: {what}, got {given}. Export it again.")

    def skip(self) -> None:
        """Past a value, or past everything in brackets."""
        if self.text not in OPENING or self.kind != "mark":
            self.step()
            return
        depth = 0
        while True:
            if self.kind == "end":
                raise self.problem("a bracket is never closed")
            if self.kind == "mark":
                depth += (self.text in OPENING) - (self.text in CLOSING)
            self.step()
            if depth == 0:
                return


def parse_layer(text: str) -> Layer:
    """Reads a file.

    Raises:
        EX4DError: it is damaged, or nested deeper than any scene.
    """
    tokens = _Tokens(text)
    stage: dict[str, Any] = {}
    if tokens.text == "(":
        tokens.step()
        while tokens.text != ")":
            name = tokens.step()
            if tokens.text == "=":
                tokens.step()
                if name in STAGE:
                    stage[name] = _value(tokens, 0)
                else:
                    tokens.skip()
            elif tokens.kind == "end":
                raise tokens.problem("expected ')'")
        tokens.step()
    prims = []
    while tokens.kind != "end":
        if tokens.text in ("def", "over", "class"):
            prims.append(_prim(tokens, 0))
        else:
            tokens.skip()
    return Layer(stage, prims)


def _prim(tokens: _Tokens, depth: int) -> Prim:
    if depth > DEEPEST:
        raise EX4DError(f"the prims of this USD file are nested deeper than {DEEPEST}. Export the camera alone.")
    tokens.step()
    kind = tokens.step() if tokens.kind == "word" else ""
    if tokens.kind != "text":
        raise tokens.problem("expected a prim's name")
    prim = Prim(kind, tokens.step().strip("\"'"))
    if tokens.text == "(":
        tokens.skip()
    tokens.take("{")
    while tokens.text != "}" or tokens.kind != "mark":
        if tokens.kind == "end":
            raise tokens.problem("expected '}'")
        if tokens.text in ("def", "over", "class") and tokens.kind == "word":
            prim.children.append(_prim(tokens, depth + 1))
        else:
            _statement(tokens, prim)
    tokens.step()
    return prim


def _statement(tokens: _Tokens, prim: Prim) -> None:
    """An attribute, or whatever else stands in a prim, up to the end of its line or of its value."""
    line, name = tokens.line, ""
    while tokens.kind == "word" and tokens.line == line:
        name = tokens.step()
        if tokens.text == "[" and tokens.kind == "mark":  # of a type, such as token[]
            tokens.skip()
    if tokens.kind == "mark" and tokens.text == "=":
        tokens.step()
        base, _, suffix = name.partition(".")
        if KEPT.match(base) and suffix in ("", "timeSamples"):
            attribute = prim.attributes.setdefault(base, Attribute())
            if suffix:
                attribute.samples = _samples(tokens)
            else:
                attribute.value = _value(tokens, 0)
        else:
            tokens.skip()
    elif not name:
        tokens.skip()
    if tokens.text == "(" and tokens.kind == "mark":
        tokens.skip()


def _samples(tokens: _Tokens) -> dict[float, Any]:
    tokens.take("{")
    samples: dict[float, Any] = {}
    while tokens.text != "}" or tokens.kind != "mark":
        time = _value(tokens, 0)
        if not isinstance(time, float):
            raise tokens.problem("expected a time code")
        tokens.take(":")
        value = _value(tokens, 0)
        if value is not None:  # blocked
            samples[time] = value
        if tokens.text == ",":
            tokens.step()
    tokens.step()
    return samples


def _value(tokens: _Tokens, depth: int) -> Any:
    """A number, a text or a tuple of values; None where there is none."""
    if depth > DEEPEST:
        raise tokens.problem("values are nested too deeply")
    if tokens.kind == "number":
        return float(tokens.step())
    if tokens.kind in ("text", "path", "asset", "word"):
        word = tokens.step()
        if word in ("inf", "-inf", "nan"):
            return float(word)
        return None if word == "None" else word.strip("\"'")
    if tokens.kind == "mark" and tokens.text in ("(", "["):
        end = OPENING[tokens.step()]
        values = []
        while tokens.text != end or tokens.kind != "mark":
            values.append(_value(tokens, depth + 1))
            if tokens.text == ",":
                tokens.step()
        tokens.step()
        return tuple(values)
    raise tokens.problem("expected a value")


def local_to_world(way: tuple[Prim, ...], time: float) -> np.ndarray:
    """(4, 4) of column vectors at a time code: the transforms of a prim and of all above it.

    Raises:
        EX4DError: transforms of another kind than USD's, or values that are none.
    """
    made = np.eye(4)
    for prim in way:
        order = prim.attributes.get("xformOpOrder", Attribute(())).value or ()
        for name in order:
            if name == "!resetXformStack!":
                made = np.eye(4)
                continue
            undone = str(name).startswith("!invert!")
            name = str(name).removeprefix("!invert!")
            operation = prim.attributes.get(name)
            if operation is None:
                raise EX4DError(f"the prim {prim.name!r} lists {name[:40]!r} but has none. Export the camera again.")
            matrix = _operation(name.split(":")[1] if ":" in name else name, operation.at(time), prim.name)
            made = made @ (np.linalg.inv(matrix) if undone else matrix)
    return made


def _operation(kind: str, value: Any, prim: str) -> np.ndarray:
    """(4, 4) of column vectors of one entry of a prim's list of transforms."""
    numbers = np.asarray(value, np.float64)
    made = np.eye(4)
    shapes = {"transform": (4, 4), "orient": (4,), "translate": (3,), "scale": (3,)}
    turns = re.fullmatch(r"rotate([XYZ]{1,3})", kind)
    wanted = (() if len(turns[1]) == 1 else (3,)) if turns else shapes.get(kind)
    if wanted is None or numbers.shape != wanted or not np.isfinite(numbers).all():
        raise EX4DError(
            f"the prim {prim!r} has a transform {kind[:30]!r} that is not read. Bake the camera to a matrix a frame."
        )
    if kind == "transform":
        return numbers.T  # USD multiplies rows
    if kind == "orient":
        made[:3, :3] = matrix_from_quaternion(numbers)
    elif kind == "translate":
        made[:3, 3] = numbers
    elif kind == "scale":
        made[:3, :3] = np.diag(numbers)
    else:
        assert turns is not None
        for axis in turns[1]:  # the first named turns first
            number = "XYZ".index(axis)
            angle = np.radians(numbers if numbers.ndim == 0 else numbers[number])
            turn = np.eye(4)
            a, b = (number + 1) % 3, (number + 2) % 3
            turn[a, a] = turn[b, b] = np.cos(angle)
            turn[b, a], turn[a, b] = np.sin(angle), -np.sin(angle)
            made = turn @ made
    return made


def times_of(way: tuple[Prim, ...]) -> list[float]:
    """All time codes at which a prim, or one above it, has a sample."""
    return sorted({time for prim in way for attribute in prim.attributes.values() for time in attribute.samples})
