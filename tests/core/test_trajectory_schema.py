"""The schema of the camera path document, for other programs: it says what the checks say, as far as a schema can."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from test_trajectory import documents

from ex4d_core.trajectory import PRESETS, Trajectory, parse_document
from ex4d_core.trajectory.schema import document_schema

TESTS = Path(__file__).resolve().parents[1]
FILE = TESTS.parent / "docs" / "trajectory.schema.json"
GOLDEN = json.loads((TESTS / "golden" / "trajectory.json").read_text("utf-8"))
BEYOND_A_SCHEMA = {"eye is target", "unsorted", "beyond the end", "zero quaternion", "through the target"}
SCHEMA = jsonschema.Draft202012Validator(document_schema())


def test_the_file_in_docs_is_the_schema_of_this_code():
    text = FILE.read_text("utf-8")
    assert json.loads(text) == json.loads(json.dumps(document_schema())), "python -m ex4d_core.trajectory.schema"
    jsonschema.Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_what_is_read_is_valid(case):
    SCHEMA.validate(case["document"])
    SCHEMA.validate(parse_document(case["document"]).to_dict())


@pytest.mark.parametrize("name", GOLDEN["refused"])
def test_what_is_refused_is_invalid_as_far_as_a_schema_can_tell(name):
    assert SCHEMA.is_valid(GOLDEN["refused"][name]) == (name in BEYOND_A_SCHEMA)


@pytest.mark.parametrize("name", PRESETS)
def test_written_presets_are_valid(name):
    SCHEMA.validate(json.loads(Trajectory.preset(name, frames=5).to_json()))


@settings(max_examples=30, deadline=None)
@given(documents())
def test_any_document_is_valid_once_it_is_read(document):
    SCHEMA.validate(document)
    SCHEMA.validate(parse_document(document).to_dict())
