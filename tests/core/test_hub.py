"""Downloads from a stand-in for Hugging Face: resumed, checked, stopped, refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness.hub import COMMIT, FakeHub

from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.storage import hub

huggingface_hub = pytest.importorskip("huggingface_hub")

ROOT = Path(__file__).resolve().parents[2]
SMALL = b'{"a": 1}\n'
LARGE = os.urandom(700_000)
NAMES = ["config.json", "sub/weights.bin"]


@pytest.fixture()
def server(monkeypatch):
    """Two files of a repository, read in blocks of 64 kB."""
    with FakeHub({"a/model/config.json": SMALL, "a/model/sub/weights.bin": LARGE}) as running:
        url = huggingface_hub.hf_hub_url
        monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda *a, **k: url(*a, **k, endpoint=running.url))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        for module in (huggingface_hub.constants, huggingface_hub.file_download):
            monkeypatch.setattr(module, "DOWNLOAD_CHUNK_SIZE", 2**16, raising=False)
        monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
        yield running


def get(folder: Path, names=tuple(NAMES), revision=None, **callbacks) -> None:
    hub.download(hub.look_up("a/model", names, folder, revision=revision), folder, **callbacks)


def files_in(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def stop_after(size: int):
    """A ``cancel`` that says yes from the second hundred thousand bytes on, and the ``progress`` that it watches."""
    seen = [0]
    return (lambda: seen[0] >= size), (lambda done, total: seen.__setitem__(0, done))


def test_files_arrive_whole_and_progress_counts_their_bytes(server, tmp_path):
    seen = []
    get(tmp_path / "new", progress=lambda done, total: seen.append((done, total)))
    assert files_in(tmp_path / "new") == {"config.json": SMALL, "sub/weights.bin": LARGE}
    total = len(SMALL) + len(LARGE)
    assert {t for _, t in seen} == {total} and seen[-1][0] == total
    assert [done for done, _ in seen] == sorted(done for done, _ in seen) and len(seen) > 10


def test_looking_up_downloads_nothing(server, tmp_path):
    files = hub.look_up("a/model", NAMES, tmp_path)
    assert [(f.name, f.size, f.commit) for f in files] == [(NAMES[0], 9, COMMIT), (NAMES[1], 700_000, COMMIT)]
    assert {method for method, *_ in server.requests} == {"HEAD"} and not list(tmp_path.iterdir())


def test_all_files_are_of_the_commit_that_the_first_was_found_at(server, tmp_path, monkeypatch):
    asked = []
    url = huggingface_hub.hf_hub_url

    def spy(repository, name, *, revision):
        asked.append(revision)
        return url(repository, name, revision=revision)

    monkeypatch.setattr(huggingface_hub, "hf_hub_url", spy)
    hub.look_up("a/model", NAMES, tmp_path)
    assert asked == [None, COMMIT, COMMIT, COMMIT]


@pytest.mark.parametrize("by", ["cancel", "progress"])
def test_a_stopped_download_is_resumed(server, tmp_path, by):
    cancel, watch = stop_after(200_000)

    def progress(done, total):
        watch(done, total)
        if by == "progress" and cancel():
            raise KeyError("the host's own interruption")

    with pytest.raises(Cancelled if by == "cancel" else KeyError):
        get(tmp_path, progress=progress, cancel=cancel if by == "cancel" else None)
    there = files_in(tmp_path)
    part = next(name for name in there if name.endswith(".part"))
    size = len(there[part])
    assert 200_000 <= size < len(LARGE) and set(there) == {"config.json", part}
    server.requests.clear()
    seen = []
    get(tmp_path, NAMES[1:], progress=lambda done, total: seen.append(done))
    assert ("GET", "storage:a/model/sub/weights.bin", f"bytes={size}-", False) in server.requests
    assert seen[0] == size
    assert files_in(tmp_path) == {"config.json": SMALL, "sub/weights.bin": LARGE}


def test_hf_transfer_which_tells_nobody_and_cannot_be_stopped_is_not_used(server, tmp_path, monkeypatch):
    switches = huggingface_hub.constants, huggingface_hub.file_download
    seen, http_get = [], huggingface_hub.file_download.http_get

    def spy(*arguments, **settings):
        seen.extend(module.HF_HUB_ENABLE_HF_TRANSFER for module in switches)
        return http_get(*arguments, **settings)

    for module in switches:
        monkeypatch.setattr(module, "HF_HUB_ENABLE_HF_TRANSFER", True, raising=False)
    monkeypatch.setattr(huggingface_hub.file_download, "http_get", spy)
    cancel, progress = stop_after(200_000)
    with pytest.raises(Cancelled):
        get(tmp_path, progress=progress, cancel=cancel)
    assert seen and not any(seen)
    assert all(module.HF_HUB_ENABLE_HF_TRANSFER for module in switches), "as the user has switched it, for others"


def test_a_broken_connection_is_picked_up_again(server, tmp_path):
    server.cut_after = 300_000
    get(tmp_path, NAMES[1:])
    assert files_in(tmp_path) == {"sub/weights.bin": LARGE}
    ranges = [asked for method, name, asked, _ in server.requests if method == "GET" and name.startswith("storage")]
    assert ranges[0] is None and len(ranges) == 2 and ranges[1].startswith("bytes=")


def test_a_connection_that_stays_away_says_so_and_keeps_what_has_come(server, tmp_path, monkeypatch):
    files = hub.look_up("a/model", NAMES[1:], tmp_path)
    cancel, progress = stop_after(100_000)
    with pytest.raises(Cancelled):
        hub.download(files, tmp_path, progress=progress, cancel=cancel)
    server.files.clear()
    with pytest.raises(EX4DError, match=r"stopped at 0 of 1 MB.*run again"):
        hub.download(files, tmp_path)
    assert len(next((tmp_path / "sub").glob("*.part")).read_bytes()) >= 100_000


@pytest.mark.parametrize("name", NAMES)
def test_damaged_data_is_not_kept(server, tmp_path, name):
    (file,) = hub.look_up("a/model", [name], tmp_path)
    part = hub.part_of(file, tmp_path)
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(b"x" * 5)
    with pytest.raises(EX4DError, match="damaged"):
        hub.download([file], tmp_path)
    assert files_in(tmp_path) == {}
    hub.download([file], tmp_path)
    assert files_in(tmp_path) == {name: server.files[f"a/model/{name}"]}


def test_a_whole_part_needs_no_transfer_and_one_too_long_starts_over(server, tmp_path):
    (file,) = hub.look_up("a/model", NAMES[1:], tmp_path)
    part = hub.part_of(file, tmp_path)
    part.parent.mkdir()
    part.write_bytes(LARGE)
    server.requests.clear()
    hub.download([file], tmp_path)
    assert server.requests == [] and files_in(tmp_path) == {"sub/weights.bin": LARGE}
    part.write_bytes(LARGE + b"x")
    hub.download([file], tmp_path)
    assert server.requests and files_in(tmp_path) == {"sub/weights.bin": LARGE}


def test_a_part_of_another_version_is_not_continued(server, tmp_path):
    (old,) = hub.look_up("a/model", NAMES[1:], tmp_path)
    part = hub.part_of(old, tmp_path)
    part.parent.mkdir()
    part.write_bytes(LARGE[:1000])
    server.files["a/model/sub/weights.bin"] = LARGE[::-1]
    get(tmp_path, NAMES[1:])
    assert files_in(tmp_path) == {"sub/weights.bin": LARGE[::-1]}


def test_the_token_goes_to_the_hub_and_not_to_its_storage(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    get(tmp_path, NAMES[1:])
    assert {token for _, name, _, token in server.requests if name.startswith("storage:")} == {False}
    assert {token for _, name, _, token in server.requests if not name.startswith("storage:")} == {True}


def test_what_is_not_there_tells_what_to_put_where(server, tmp_path):
    for repository, name in (("someone/else", "config.json"), ("a/model", "other.bin")):
        with pytest.raises(EX4DError, match="could not be reached") as caught:
            hub.look_up(repository, [name], tmp_path)
        assert f"https://huggingface.co/{repository}/resolve/main/{name} as {tmp_path / name}" in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_offline_asks_nobody(server, tmp_path, monkeypatch, by):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", by == "environment")
    with pytest.raises(EX4DError, match="offline") as caught:
        hub.look_up("a/model", NAMES, tmp_path, revision="v1", offline=by == "argument")
    for name in NAMES:
        assert f"https://huggingface.co/a/model/resolve/v1/{name} as {tmp_path / name}" in str(caught.value)
    assert server.requests == []


def test_too_little_space_is_said_before_the_first_byte(server, tmp_path, monkeypatch):
    files = hub.look_up("a/model", NAMES, tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda folder: usage._replace(free=700_008))
    server.requests.clear()
    with pytest.raises(EX4DError, match="free"):
        hub.download(files, tmp_path)
    assert server.requests == [] and files_in(tmp_path) == {}
    part = hub.part_of(files[1], tmp_path)
    part.parent.mkdir()
    part.write_bytes(LARGE[:1])  # what is there need not come again
    hub.download(files, tmp_path)


def test_the_environments_endpoint_is_honoured(tmp_path):
    program = (
        "import sys, pathlib; from ex4d_core.storage import hub; folder = pathlib.Path(sys.argv[1]);"
        "hub.download(hub.look_up('a/model', ['config.json'], folder), folder)"
    )
    with FakeHub({"a/model/config.json": SMALL}) as running:
        environment = {
            key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
        }
        environment |= {"HF_ENDPOINT": running.url, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=environment, check=True, timeout=120)
    assert files_in(tmp_path) == {"config.json": SMALL}
