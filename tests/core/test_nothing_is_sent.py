"""README and SECURITY.md say that nothing is sent anywhere: shipped code has one way out, and it fetches model files."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = [ROOT / "__init__.py", *(ROOT / "nodes").rglob("*.py"), *(ROOT / "ex4d_core").rglob("*.py")]
SCRIPTS = sorted((ROOT / "web").rglob("*.js"))

DOWNLOADS = Path("ex4d_core/storage/hub.py")
"""The only file that connects to anything."""
CONNECT = {
    "aiohttp", "ftplib", "grpc", "hf_hub", "http", "httpx", "huggingface_hub", "imaplib", "poplib", "pycurl",
    "requests", "sentry_sdk", "smtplib", "socket", "socketserver", "ssl", "telnetlib", "urllib", "urllib3", "webbrowser",
    "websocket", "websockets", "wandb", "xmlrpc",
}  # fmt: skip
HARMLESS = {"urllib.parse"}
PROGRAMS = {Path("ex4d_core/commands/comfyui.py"): 1, Path("ex4d_core/training/previews.py"): 1}
"""Files that start a program, and how often: ``generate`` and ``imagine`` run the ComfyUI that they were told of, previews of
a training run run ``generate``."""
LEAVES = re.compile(
    r"\bfetch\(|\bfetchApi\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|\bimport\(|importScripts|serviceWorker"
)
"""What a script may reach a server with."""
ASKS = {
    "cameraFiles.js": ["fetchApi("],
    "editor/preview.js": ["fetch("],
    "editor/sceneMemory.js": ["fetch("],
}
"""All ask the page's own server: an uploaded camera file, the scene that a run has left, and that scene's memory."""
NAMESPACE = "http://www.w3.org/2000/svg"


def relative(path: Path) -> Path:
    return path.relative_to(ROOT)


@cache
def tree_of(path: Path) -> ast.AST:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> set[str]:
    """Absolute imports and names given to import_module, as dotted names."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {
                f"{node.module}.{alias.name}" if node.module == "urllib" else str(node.module) for alias in node.names
            }
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            found |= {
                leaf.value for leaf in ast.walk(node) if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)
            }
    return found


def test_python_connects_nowhere_but_to_fetch_models():
    for path in PYTHON:
        names = imported(tree_of(path)) - HARMLESS
        connecting = {name for name in names if name.split(".")[0] in CONNECT}
        fetching = {"huggingface_hub", "huggingface_hub.file_download", "huggingface_hub.utils"}
        assert connecting <= (fetching if relative(path) == DOWNLOADS else set()), relative(path)


def test_the_one_way_out_is_used_by_what_downloads_models():
    """So that a new user of it is looked at."""
    users = {str(relative(path)) for path in PYTHON if re.search(r"import hub\b|\bhub import", path.read_text("utf-8"))}
    assert users == {
        "ex4d_core/depth/depthcrafter/download.py",
        "nodes/models.py",
    }


def test_python_starts_no_program_that_could_send():
    start = re.compile(r"subprocess\.(?:Popen|run|call|check_\w+)\(|os\.(?:system|popen|exec\w+|spawn\w+)\(")
    started = {relative(path): len(start.findall(path.read_text(encoding="utf-8"))) for path in PYTHON}
    assert {path: count for path, count in started.items() if count} == PROGRAMS


def downloading(path: Path) -> set[str]:
    """What a file calls that may download by itself."""
    downloading = set()
    for call in (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        local = any(word.arg == "local_files_only" and ast.unparse(word.value) == "True" for word in call.keywords)
        if name.startswith("torch.hub.") or "url" in name.rpartition(".")[2].lower():
            downloading.add(name)
        if name.endswith(".from_pretrained") and name != "DepthCrafter.from_pretrained" and not local:
            downloading.add(name)
    return downloading


def test_libraries_are_handed_files_and_not_names_on_the_hub():
    """transformers, diffusers and torch download by themselves when they are given a repository's name."""
    for path in PYTHON:
        assert downloading(path) <= ({"hf_hub_url"} if relative(path) == DOWNLOADS else set()), relative(path)


def test_scripts_ask_only_the_pages_own_server():
    for path in SCRIPTS:
        text = path.read_text(encoding="utf-8")
        code = re.sub(r"/\*.*?\*/|(?<![:'\"`])//[^\n]*", "", text, flags=re.DOTALL)
        assert LEAVES.findall(code) == ASKS.get(path.relative_to(ROOT / "web").as_posix(), []), relative(path)
        addresses = re.findall(r"\b(?:https?|wss?)://[^\s'\"`)]*", code) + re.findall(r"['\"`]//\w[^'\"`]*", code)
        assert set(addresses) <= {NAMESPACE}, relative(path)


def test_readme_and_security_say_so():
    for name in ("README.md", "SECURITY.md"):
        assert "othing is sent anywhere" in (ROOT / name).read_text(encoding="utf-8"), name
