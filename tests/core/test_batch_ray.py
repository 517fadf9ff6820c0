"""The same jobs on a Ray cluster: a real one of two nodes where Ray is installed, and a stand-in everywhere."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
import pytest
from media import numbered, write_clip

from ex4d_core.commands import cli
from ex4d_core.commands.jobs import ray_crew, worker
from ex4d_core.commands.jobs.crew import Call, Crew, Lost
from ex4d_core.errors import EX4DError


class RayActorError(Exception):
    """As Ray's: the process of an actor is gone."""


class RayTaskError(Exception):
    """As Ray's: what was raised in an actor, and where."""

    def __init__(self, cause):
        super().__init__("a traceback of many lines")
        self.cause = cause


class StandIn:
    """As much of Ray as is used, in this process."""

    def __init__(self, resources):
        self.resources, self.options, self.killed, self.joined = resources, [], 0, None

    def init(self, address, **_):
        if address == "nowhere:1":
            raise ConnectionError("Could not find any running Ray instance.\nmore")
        self.joined = address

    def cluster_resources(self):
        return self.resources

    def nodes(self):
        return [{}, {}]

    def kill(self, actor):
        self.killed += 1

    def remote(self, **options):
        self.options.append(options)
        return lambda kind: SimpleNamespace(remote=lambda: self.actor(kind()))

    def actor(self, made):
        def call(function, arguments):
            future = Future()
            try:
                future.set_result(made.call(function, arguments))
            except RayActorError as error:
                future.set_exception(error)
            except Exception as error:
                future.set_exception(RayTaskError(error))
            return SimpleNamespace(future=lambda: future)

        return SimpleNamespace(call=SimpleNamespace(remote=call), stop=SimpleNamespace(remote=made.stop))


@pytest.fixture()
def stand_in(monkeypatch):
    ray = StandIn({"CPU": 16.0, "GPU": 4.0})
    errors = SimpleNamespace(RayActorError=RayActorError, RaySystemError=RayActorError)
    monkeypatch.setattr(ray_crew.importlib, "import_module", {"ray": ray, "ray.exceptions": errors}.__getitem__)
    monkeypatch.setattr(worker, "begin", lambda setting: setting)
    return ray


def test_a_cluster_has_a_worker_for_each_gpu_and_shares_its_processors(stand_in):
    hire, size = ray_crew.join("auto", None, 100, "folder")
    assert stand_in.joined == "auto" and size == 4 and hire.setting == worker.Setting("folder", 4)
    assert hire.options["num_gpus"] == 1 and hire.options["num_cpus"] == 1
    assert hire.options["runtime_env"]["env_vars"]["OMP_NUM_THREADS"] == "4"
    assert ray_crew.join("auto", 8, 100, "folder")[0].options["num_gpus"] == 0.5
    assert ray_crew.join("auto", None, 3, "folder")[1] == 3
    stand_in.resources = {"CPU": 6.0}
    hire, size = ray_crew.join("auto", None, 100, "folder")
    assert size == 6 and hire.options["num_gpus"] == 0 and hire.options["num_cpus"] == 1


def test_errors_of_an_actor_are_those_that_were_raised_there_and_a_dead_one_is_replaced(stand_in):
    hire, size = ray_crew.join("auto", 1, 100, "folder")
    told = []

    def refuse():
        raise EX4DError("no such flag")

    def die():
        raise RayActorError

    calls = [
        Call(work, (), lambda result, error: told.append(result or error)) for work in (refuse, die, list("a").copy)
    ]
    with Crew(hire, size) as crew:
        crew.work(lambda: calls.pop(0) if calls else None, lambda: False, lambda: None)
    assert str(told[0]) == "no such flag" and type(told[1]) is Lost and told[2] == ["a"]
    assert len(stand_in.options) == 2 and stand_in.killed == 2


def test_a_cluster_that_is_not_there_and_a_package_that_is_missing_are_told(stand_in, monkeypatch):
    with pytest.raises(
        EX4DError, match=r"no Ray cluster at --ray nowhere:1: Could not find any running Ray instance\.$"
    ):
        ray_crew.join("nowhere:1", None, 1, "folder")

    def missing(name):
        raise ImportError

    monkeypatch.setattr(ray_crew.importlib, "import_module", missing)
    with pytest.raises(EX4DError, match="pip install ray"):
        ray_crew.join("auto", None, 1, "folder")


@pytest.fixture()
def cluster(monkeypatch):
    """A real cluster of two nodes, which tells nobody of itself and leaves no process behind. CI has Ray; others may lack it."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else its workers hardly get a turn beside other tests
    try:
        ray, utils, psutil = map(importlib.import_module, ("ray", "ray.cluster_utils", "psutil"))
    except ImportError as error:
        text = f"RAY NOT TESTED: {error} (pip install ray)"
        pytest.fail(text) if os.environ.get("CI", "").lower() == "true" else pytest.skip(text)
    others = set(psutil.Process().children(recursive=True))
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    made = utils.Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        made.add_node(**node)
        yield made
    finally:
        started = set(psutil.Process().children(recursive=True)) - others
        folder = made.head_node.get_session_dir_path()
        ray.shutdown()
        made.shutdown()
        _, left = psutil.wait_procs(started, timeout=30)
        shutil.rmtree(folder, ignore_errors=True)
    assert started and not left


def test_a_real_cluster_of_two_nodes_makes_the_files_of_single_runs(cluster, tmp_path, monkeypatch, capfd):
    write_clip(tmp_path / "a.mp4", [numbered(i) for i in range(3)])
    depth = np.full((3, 48, 64), 8, np.float32)
    depth[:, 12:36, 16:48] = 4
    np.savez(tmp_path / "a.npz", depth=depth)
    flags = {"input_video": "a.mp4", "depth": "a.npz", "num_frames": 3, "size": "64x48", "backend": "torch"}
    jobs = [{"command": "recon", **flags, "cam": [name], "output_dir": "ray"} for name in ("30", "zoom_in", "60")]
    jobs.append(
        {"command": "evaluate", "result": "ray/color_30.mp4", "against": "ray/color_60.mp4", "json": "scores.json"}
    )
    (tmp_path / "jobs.jsonl").write_text("\n".join(map(json.dumps, jobs)))
    assert cli.main(["batch", str(tmp_path / "jobs.jsonl"), "--ray", cluster.address]) == 0
    told = capfd.readouterr().err
    assert "2 workers on 2 nodes" in told and "4 jobs: 4 done" in told
    assert cli.main(["batch", str(tmp_path / "jobs.jsonl"), "--ray", cluster.address]) == 0
    assert "4 were done before" in capfd.readouterr().err
    assert json.loads((tmp_path / "scores.json").read_text())["clips"]
    monkeypatch.chdir(tmp_path)
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    assert cli.main(["recon", *words, "--cam", "30", "zoom_in", "60", "--output_dir", "single"]) == 0
    films = sorted((tmp_path / "single").iterdir())
    assert len(films) == 6
    for film in films:
        assert film.read_bytes() == (tmp_path / "ray" / film.name).read_bytes(), film.name
