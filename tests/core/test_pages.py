"""What README and docs/ show can be done: the Python shot runs, commands have these flags, links lead somewhere."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from harness.points import in_the_cube, unprojected
from media import numbered, write_clip
from PIL import Image

from ex4d_core import Trajectory, load_video
from ex4d_core.commands.flags import Parser
from ex4d_core.demo_scene import DemoScene
from ex4d_core.pointmap import PointMap, save_pointmap

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
PAGE = ROOT / "docs" / "api.md"
COMMANDS = re.findall(r"^ex4d (.+)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
FRAMES, WIDTH, HEIGHT = 5, 64, 48


def test_the_page_s_shot_runs(tmp_path, monkeypatch):
    shot = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert shot is not None
    code = shot[1]
    assert code.count("count=49, size=(512, 512)") == 1
    code = code.replace("count=49, size=(512, 512)", f"count={FRAMES}, size=({WIDTH}, {HEIGHT})")
    write_clip(tmp_path / "clip.mp4", [numbered(i) for i in range(FRAMES)], sound=0.2)
    depth = np.broadcast_to(np.linspace(3, 6, WIDTH, dtype=np.float32), (FRAMES, HEIGHT, WIDTH))
    np.savez(tmp_path / "depth.npz", depth=depth)
    monkeypatch.chdir(tmp_path)

    exec(compile(code, str(PAGE), "exec"), {})

    color, mask, draft = (load_video(tmp_path / f"{name}.mp4") for name in ("color", "mask", "draft"))
    assert color.frames.shape == draft.frames.shape == mask.frames.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert color.has_audio and not mask.has_audio
    seen = mask.frames[..., 0] > 127
    assert seen[0].all() and 0.05 < (~seen[-1]).float().mean() < 0.95
    assert draft.frames[-1][~seen[-1]].float().mean() > color.frames[-1][~seen[-1]].float().mean() + 5
    assert len(Trajectory.load(tmp_path / "camera.npz")) == FRAMES


def test_the_page_s_scene_of_a_picture_is_found(tmp_path, monkeypatch):
    scene = DemoScene(96, 96, 3)
    colors, depth = scene.clip()
    still = np.tile(np.eye(4), (len(depth), 1, 1))
    points = in_the_cube(unprojected(depth.double().numpy(), scene.intrinsics, still), 0.02)[0]
    (tmp_path / "out").mkdir()
    save_pointmap(tmp_path / "out" / "pointmap.npz", PointMap.from_pictures(torch.from_numpy(points), colors))
    monkeypatch.chdir(tmp_path)
    (code,) = (
        part
        for part in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        if "points" in part
    )
    made: dict = {}
    exec(compile(code, str(PAGE), "exec"), made)
    mesh = made["mesh"]
    assert (mesh.frames, mesh.width, mesh.height) == (3, 512, 512)
    assert mesh.intrinsics.fx / 512 == pytest.approx(scene.intrinsics.fx / 96, rel=0.01)


def test_the_page_s_shot_is_short():
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None and len(code[1].splitlines()) <= 25


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert not [link for link in local if not (page.parent / link).exists()]


@pytest.mark.parametrize("line", COMMANDS)
def test_the_readme_s_commands_are_understood(line):
    name, *words = shlex.split(line)
    command = importlib.import_module(f"ex4d_core.commands.{name}")
    parser = Parser(name, command.__doc__)
    command.add_arguments(parser)
    parser.parse_args(words)


def test_the_readme_stays_short_and_shows_a_film():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    first_screen = "\n".join(text.splitlines()[:20])
    (film,) = re.findall(r"!\[[^\]]+\]\((docs/[\w-]+\.webp)\)", first_screen)
    assert (ROOT / film).stat().st_size <= 4_000_000
    with Image.open(ROOT / film) as picture:
        assert picture.n_frames > 40 and picture.width >= 800
    assert "ComfyUI-Manager" in first_screen and first_screen.index("ComfyUI-Manager") < text.index("git clone")


def test_scripts_and_tests_named_beside_a_measurement_exist():
    text = (ROOT / "docs" / "measurements.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:benchmarks|tests)/[\w/]+\.py", text))
    assert len(named) > 8 and not [name for name in named if not (ROOT / name).is_file()]


def test_the_changelog_says_nothing_twice():
    entries = [line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if line[:4] == "* **"]
    assert sorted(entries) == sorted(set(entries))


def test_the_architecture_names_every_room():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    core = ROOT / "ex4d_core"
    rooms = [f"{path.name}/" for path in core.iterdir() if (path / "__init__.py").is_file()]
    rooms += [path.name for path in core.glob("*.py") if not path.name.startswith("__")]
    assert len(rooms) > 15 and not [room for room in rooms if f"`{room}`" not in text]
