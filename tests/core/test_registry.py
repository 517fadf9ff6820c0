"""What the Comfy registry asks of a pack, and what keeps a host healthy."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest
from PIL import Image

try:
    import tomllib
except ImportError:  # Python 3.10
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = [ROOT / "__init__.py", *(ROOT / "nodes").rglob("*.py"), *(ROOT / "ex4d_core").rglob("*.py")]
PUBLISH = ROOT / ".github" / "registry.py"
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_project_is_named_and_versioned_as_the_registry_wants(project):
    name, version = project["project"]["name"], project["project"]["version"]
    assert name == "ex4d" and re.fullmatch(r"[A-Za-z](?:[A-Za-z0-9]|[-_.](?=[A-Za-z0-9]))*", name)
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert project["project"]["license"] == {"file": "LICENSE"} and (ROOT / "LICENSE").is_file()
    assert any(line.startswith("Operating System ::") for line in project["project"]["classifiers"])
    assert project["tool"]["comfy"]["requires-comfyui"] == ">=0.3.64"


def test_version_is_the_same_everywhere(project):
    text = (ROOT / "ex4d_core" / "__init__.py").read_text(encoding="utf-8")
    assert f'__version__ = "{project["project"]["version"]}"' in text


@pytest.fixture(scope="module")
def publishing():
    """.github/registry.py as a module."""
    spec = importlib.util.spec_from_file_location("ex4d_registry", PUBLISH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_is_published_without_the_publishers_id(publishing):
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert text.count("PublisherId") == 1
    without = re.sub(r'PublisherId = ".*"', 'PublisherId = ""', text)
    assert publishing.filled(without, "someone/ComfyUI-EX4D", "0" * 40) is None


def test_what_is_published_names_repository_icon_and_banner(publishing):
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ready = publishing.filled(re.sub(r'PublisherId = ".*"', 'PublisherId = "someone"', text), "someone/EX4D", "a" * 40)
    assert ready is not None
    project = tomllib.loads(ready)
    assert project["project"]["urls"] == {"Repository": "https://github.com/someone/EX4D"}
    comfy = project["tool"]["comfy"]
    assert comfy["PublisherId"] == "someone" and comfy["DisplayName"] == "EX-4D"
    for key in ("Icon", "Banner"):
        address = comfy[key]
        assert address.startswith(f"https://raw.githubusercontent.com/someone/EX4D/{'a' * 40}/")
        assert (ROOT / address.split("a" * 40 + "/")[1]).is_file()


def test_icon_and_banner_have_the_registrys_shapes(publishing):
    with Image.open(ROOT / publishing.PICTURES["Icon"]) as icon:
        assert icon.width == icon.height <= 400
    with Image.open(ROOT / publishing.PICTURES["Banner"]) as banner:
        assert banner.width * 9 == banner.height * 21


def test_scripts_are_registered_once(project):
    assert "web" not in project["tool"]["comfy"], "WEB_DIRECTORY already names the folder"


def test_requirements_name_only_what_every_host_has(project):
    """They can then neither replace a host's package nor downgrade it. What else is wanted is an extra."""
    asked = [line for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines() if line.strip()]
    names = {re.split(r"[<>=!~\[ ]", line)[0].lower() for line in asked}
    # huggingface_hub comes with ComfyUI's transformers.
    assert names <= {"numpy", "pillow", "av", "safetensors", "psutil", "scipy", "huggingface_hub"}
    limits = {line for line in asked if re.search(r"[<>=!~]", line)}
    assert limits <= {"av>=14.2.0"}, "no limit that ComfyUI's own requirements do not set"
    assert project["project"]["dynamic"] == ["dependencies"]


def test_shipped_code_runs_no_text_and_installs_nothing():
    for path in SHIPPED:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in FORBIDDEN_CALLS, f"{node.func.id} in {path}:{node.lineno}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert "-m pip" not in node.value, f"pip in {path}:{node.lineno}"


def test_what_users_do_not_need_is_not_published():
    ignored = (ROOT / ".comfyignore").read_text(encoding="utf-8").split()
    assert {"tests/", "benchmarks/", "dev.py", ".github/"} <= set(ignored)


def test_the_bug_form_asks_for_versions_and_the_graph():
    yaml = pytest.importorskip("yaml")
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text(encoding="utf-8"))
    required = {field["id"] for field in form["body"] if field.get("validations", {}).get("required")}
    assert {"graph", "pack", "host", "machine", "what"} <= required


def test_workflows_are_read_by_github_and_publishing_waits_for_the_id():
    yaml = pytest.importorskip("yaml")
    flows = {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (ROOT / ".github" / "workflows").glob("*.yml")
    }
    assert flows.keys() == {"publish", "test"}
    *_, fill, publish = flows["publish"]["jobs"]["publish"]["steps"]
    assert f"python {PUBLISH.relative_to(ROOT).as_posix()}" in fill["run"]
    assert publish["if"] == "steps.fill.outputs.publish == 'yes'"
