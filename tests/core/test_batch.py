"""Many jobs of one file: checked first, done once, in the order of their files, and the same as single runs."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import batch_children
import numpy as np
import pytest
from media import numbered, write_clip

from ex4d_core.commands import batch, cli, comfyui, console
from ex4d_core.commands.cli import load_command
from ex4d_core.commands.flags import Parser
from ex4d_core.commands.jobs import worker
from ex4d_core.commands.jobs.crew import Call, Crew, HireHere, LocalWorker, Lost
from ex4d_core.commands.jobs.file import Job
from ex4d_core.commands.jobs.report import Report, clock
from ex4d_core.commands.jobs.task import State, Task
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.machine import kept
from ex4d_core.machine.cores import cores

FRAMES = 3


@pytest.fixture()
def shots(tmp_path, monkeypatch):
    """Two clips with their depth, in the working folder."""
    monkeypatch.chdir(tmp_path)
    for name, near in (("a", 4), ("b", 5)):
        write_clip(tmp_path / f"{name}.mp4", [numbered(i) for i in range(FRAMES)])
        depth = np.full((FRAMES, 48, 64), 8, np.float32)
        depth[:, 12:36, 16:48] = near
        np.savez(tmp_path / f"{name}.npz", depth=depth)
    return tmp_path


def recon(**changes):
    flags = {"input_video": "a.mp4", "depth": "a.npz", "num_frames": FRAMES, "size": "64x48", "cam": ["30"]}
    return {"command": "recon", **flags, "output_dir": "out", "backend": "torch", **changes}


class Inline:
    """A worker that does its calls in this process, at once."""

    def call(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def stop(self):
        pass

    def end(self, kill):
        pass


class HireInline:
    lost = (Lost,)

    def __call__(self, place):
        return Inline(), Inline().call(int)


@pytest.fixture()
def run(shots, monkeypatch, capfd):
    """Writes a file of jobs, does them in this process, and gives the exit code and what was said."""
    monkeypatch.setattr(batch, "_hire", lambda args, jobs, folder: (HireInline(), 1))

    def run(jobs, *words):
        lines = [job if isinstance(job, str) else json.dumps(job) for job in jobs]
        (shots / "jobs.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        code = cli.main(["batch", "jobs.jsonl", *map(str, words)])
        said = capfd.readouterr()
        return code, said.out + said.err

    return run


def journal(folder):
    return [json.loads(line) for line in (folder / "jobs.batch" / "journal.jsonl").read_text().splitlines()]


def test_a_finished_job_is_skipped_until_what_it_reads_or_wrote_changes(run, shots):
    jobs = [recon(matrix={"shot": ["a", "b"]}, input_video="{shot}.mp4", depth="{shot}.npz", output_dir="{shot}")]
    code, said = run(jobs)
    assert code == 0 and "2 jobs: 2 done, 0 were done before, 0 failed" in said
    assert sorted(path.name for path in (shots / "b").iterdir()) == ["color_30.mp4", "mask_30.mp4"]
    assert "0 done, 2 were done before" in run(["", *jobs])[1], "lines may move"
    assert "line 1 (shot a), recon: done" in run(jobs, "--check")[1]
    os.utime(shots / "b.npz", ns=(1, 1))
    assert "1 done, 1 were done before" in run(jobs)[1]
    (shots / "a" / "mask_30.mp4").unlink()
    assert "1 done, 1 were done before" in run(jobs)[1]
    assert "2 done, 0 were done before" in run([jobs[0] | {"crf": 20}])[1]
    assert "2 done, 0 were done before" in run(jobs)[1], "the files are another job's by now"
    with (shots / "jobs.batch" / "journal.jsonl").open("a") as file:
        file.write('{"digest": "cut o')
    assert "0 done, 2 were done before" in run(jobs)[1]


def test_a_job_waits_for_what_it_reads_and_fails_with_it(run, shots):
    jobs = [
        {"command": "evaluate", "result": "out/color_30.mp4", "mask": "out/mask_30.mp4", "json": "a.json"},
        recon(),
        {"command": "evaluate", "result": "out", "require": ["psnr"], "json": "b.json"},
        {"command": "evaluate", "result": "b.json", "json": "c.json"},
    ]
    assert "line 1, evaluate: to do after line 2" in run(jobs, "--check")[1]
    code, said = run(jobs, "--retries", 2)
    assert code == cli.BAD_INPUT
    assert "4 jobs: 2 done, 0 were done before, 2 failed" in said
    assert said.count("to be tried again: line 3, evaluate: it ended with code 2") == 2
    assert "line 4, evaluate: not begun, since it needs what line 3 makes" in said
    assert [entry["outcome"] for entry in journal(shots)] == ["done", "done"] + ["failed"] * 3
    assert json.loads((shots / "a.json").read_text())["clips"]
    # The first two are done, the failed one is tried again.
    code, said = run(jobs)
    assert code == cli.BAD_INPUT and "0 done, 2 were done before, 2 failed" in said
    # What is made anew makes what rests on it anew.
    assert "line 1, evaluate: to do after line 2" in run([*jobs[:1], recon(crf=30)], "--check")[1]
    assert "2 done, 0 were done before" in run([*jobs[:1], recon(crf=30)])[1]


def test_a_fault_of_our_own_fails_its_job_only(run, monkeypatch, shots):
    command, _ = load_command("recon")
    real = command.run
    monkeypatch.setattr(command, "run", lambda args: 1 // 0 if args.cam == ["60"] else real(args))
    code, said = run([recon(cam=["60"]), recon()])
    assert code == cli.BAD_INPUT and "failed: line 1, recon: ZeroDivisionError" in said and "1 done" in said
    assert [entry["outcome"] for entry in journal(shots)] == ["failed", "done"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["{'command': 'recon'}"], "line 1: it is no JSON"),
        (["[]"], "line 1: a job is an object"),
        (["", '{"cam": ["30"]}'], 'line 2: "command" must be one of recon, stereo'),
        (['{"command": "train"}'], "got 'train'"),
        (['{"command": "recon", "cam": ["30"], "cam": ["60"]}'], '"cam" is given twice'),
        ([recon(input_vidio="a.mp4")], "line 1: recon has no flag 'input_vidio'. Did you mean 'input_video'?"),
        ([recon(), recon(depth="c.npz", output_dir="c")], "line 2: "),
        ([recon(crf=99)], "line 1: --crf must lie between 0 and 51, got 99"),
        ([recon(num_frames="many")], "--num_frames must be a whole number"),
        ([recon(style="oil")], "--style must be one of released, paper, got 'oil'"),
        ([recon(cam=["nope"])], "preset"),
        ([recon(save_mesh="yes")], "'save_mesh' must be true or false, got \"yes\""),
        ([recon(crf=[12])], "'crf' must be a text or a number"),
        ([recon(cam=[])], "'cam' must be a list of texts or numbers"),
        (['{"command": "evaluate", "json": "a.json"}'], "required: result"),
        ([recon(), recon(style="paper")], "line 2: it writes '"),
        ([recon(matrix={"shot": []})], '"matrix" must hold lists'),
        ([recon(matrix={"shot": ["a"]})], "no value holds {shot}"),
        ([recon(matrix={"shot": ["a"]}, depth="{shto}.npz")], "{shto} is not in the matrix, which has shot"),
        ([recon(matrix={"shot": ["a", "a"]}, output_dir="{shot}")], "one value twice"),
        (
            [
                {"command": "evaluate", "result": "b.json", "json": "a.json"},
                {"command": "evaluate", "result": "a.json", "json": "b.json"},
            ],
            "wait for each other",
        ),
        (["", " "], "holds no jobs"),
    ],
)
def test_a_bad_line_is_refused_before_any_work(run, shots, lines, said):
    before = sorted(path.name for path in shots.iterdir())
    code, told = run(lines)
    assert code == cli.BAD_INPUT and said in told
    assert {path.name for path in shots.iterdir()} - set(before) <= {"jobs.jsonl", "jobs.batch"}
    assert not (shots / "jobs.batch" / "journal.jsonl").exists()


def test_every_bad_line_is_told_up_to_ten(run):
    told = run([recon(crf=99, output_dir=f"out{n}") for n in range(12)])[1]
    assert "line 10: --crf" in told and "line 11" not in told and "and 2 more" in told


def test_a_file_that_is_not_there_and_a_second_batch_are_refused(run, shots, capfd):
    assert cli.main(["batch", "none.jsonl"]) == cli.BAD_INPUT
    assert "'none.jsonl' cannot be read" in capfd.readouterr().err
    run([recon()])
    from filelock import FileLock

    with FileLock(shots / "jobs.batch" / "lock"):
        code, told = run([recon()])
    assert code == cli.BAD_INPUT and "Another batch is at work" in told


def test_ctrl_c_ends_the_job_at_work_and_the_next_start_goes_on(run, shots, monkeypatch):
    real = worker.do

    def interrupt_the_second(job, log):
        if job.line == 2:
            console.interrupt()
        return real(job, log)

    monkeypatch.setattr(worker, "do", interrupt_the_second)
    jobs = [recon(output_dir=f"out{n}") for n in (1, 2, 3)]
    code, told = run(jobs)
    assert code == cli.INTERRUPTED and "1 of 3 jobs are done. The same command goes on from there" in told
    assert (shots / "out1").is_dir() and not (shots / "out2").exists() and not (shots / "out3").exists()
    monkeypatch.setattr(worker, "do", real)
    assert "2 done, 1 were done before" in run(jobs)[1]


def test_a_worker_that_is_killed_loses_its_job_only_and_results_are_those_of_single_runs(shots, monkeypatch, capfd):
    """In real processes, one of which dies in the middle of writing a film."""
    monkeypatch.setattr(worker, "do", batch_children.die_once)
    jobs = [recon(cam=["30"], output_dir="b/one", save_frames=True), recon(cam=["zoom_in"], output_dir="b/two")]
    (shots / "jobs.jsonl").write_text("\n".join(map(json.dumps, jobs)))
    monkeypatch.chdir(shots.parent)  # paths are relative to the file
    arguments = ["batch", str(shots / "jobs.jsonl"), "--workers", "1"]
    assert cli.main([*arguments, "--retries", "1"]) == 0
    told = capfd.readouterr().err
    assert "to be tried again: line 2, recon: its worker's process died" in told and "2 done" in told
    monkeypatch.chdir(shots)
    for job in jobs:
        _, parser = load_command("recon")
        values = {key: value for key, value in job.items() if key != "command"}
        single = values | {"output_dir": f"single/{Path(job['output_dir']).name}"}
        assert cli.main(["recon", *parser.words(single)]) == 0
    for path in sorted((shots / "single").rglob("*.*")):
        assert path.read_bytes() == (shots / "b" / path.relative_to(shots / "single")).read_bytes(), path.name
    # The killed process's own folder is what a kill leaves; its results' names are whole files.
    assert {path.name for path in (shots / "b" / "two").glob("[!.]*")} == {"color_zoom_in.mp4", "mask_zoom_in.mp4"}
    log = (shots / "jobs.batch" / "logs" / "1_recon.log").read_text()
    assert "b/one/color_30.mp4" in log and "% of the pixels are seen" in log


def light(count, monkeypatch):
    monkeypatch.setattr(worker, "begin", batch_children.light_begin)
    return Crew(HireHere((worker.Setting(".", 1),) * count), count)


def test_a_place_is_filled_again_and_a_stopped_call_may_clean_up(tmp_path, monkeypatch):
    ended = []
    began, cleaned = tmp_path / "began", tmp_path / "cleaned"
    calls = [
        Call(batch_children.die, (), lambda result, error: ended.append(type(error))),
        Call(os.getpid, (), lambda result, error: ended.append(result)),
        Call(batch_children.until_stopped, (str(began), str(cleaned)), lambda *_: None),
    ]
    with pytest.raises(Cancelled), light(1, monkeypatch) as crew:
        crew.work(lambda: calls.pop(0) if calls else None, began.exists, lambda: None)
    assert ended[0] is Lost and isinstance(ended[1], int) and ended[1] != os.getpid()
    assert cleaned.exists()
    hired = crew.workers[0]
    assert isinstance(hired, LocalWorker) and hired.process is not None
    for _ in range(1200):
        try:
            os.kill(hired.process, 0)
        except OSError:
            return
        time.sleep(0.05)
    pytest.fail("a process was left behind")


def test_workers_that_cannot_start_end_the_batch(monkeypatch):
    class Dead:
        lost = (BrokenProcessPool,)

        def __call__(self, place):
            future = Future()
            future.set_exception(BrokenProcessPool("gone"))
            return Inline(), future

    with pytest.raises(EX4DError, match="Workers die as they start"), Crew(Dead(), 2) as crew:
        crew.work(lambda: None, lambda: False, lambda: None)


def test_a_worker_is_set_up_in_its_folder_with_its_threads_and_card(tmp_path, monkeypatch):
    for name in (*worker.THREAD_LIMITS, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "7")
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    monkeypatch.setattr(kept, "_kept", None)
    monkeypatch.chdir(tmp_path)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert worker.begin(worker.Setting(str(tmp_path), 3, "2")) == os.getpid()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert cores() == 3 and os.environ["OMP_NUM_THREADS"] == "3" and os.environ["CUDA_VISIBLE_DEVICES"] == "2"
    made = []
    load = lambda: made.append(len(made)) or len(made)  # noqa: E731
    assert [kept.kept("a model", key, load) for key in (1, 1, 2, 1)] == [1, 1, 2, 3]
    assert kept.kept("another", 1, load) == 4 and kept.kept("a model", 1, load) == 3
    kept.drop("a model")
    assert kept.kept("a model", 1, load) == 5
    with pytest.raises(EX4DError, match="cannot be entered"):
        worker.begin(worker.Setting(str(tmp_path / "none"), 1))


def test_workers_are_as_many_as_gpus_or_as_memory_allows(monkeypatch):
    monkeypatch.setattr(batch, "cores", lambda: 8)
    monkeypatch.setattr(batch, "total_memory", lambda: 7 * 10**9)
    assert batch.affordable_workers() == 3
    monkeypatch.setattr(batch, "total_memory", lambda: None)
    assert batch.affordable_workers() == 8
    monkeypatch.setattr(batch, "GPU_DEVICES", (os.devnull,))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert batch.visible_gpus() == ["0", "1", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,7")
    _, parser = load_command("batch")
    hire, size = batch._hire(parser.parse_args(["jobs.jsonl"]), 5, "folder")
    assert size == 3 and [setting.gpu for setting in hire.settings] == ["4", "6", "7"]
    assert {setting.threads for setting in hire.settings} == {2}


@pytest.mark.parametrize(
    ("command", "values", "words"),
    [
        ("recon", {"cam": ["-30", 6], "save-mesh": True, "save_camera": False}, ["--cam", "-30", "6", "--save_mesh"]),
        ("recon", {"save_depth": True, "only_first_frame": True, "crf": 0.5},
         ["--save_depth", "--only_first_frame=1", "--crf=0.5"]),
        ("generate", {"lora": ["a", "b:0.5"], "prompt": "-- a cat"}, ["--lora=a", "--lora=b:0.5", "--prompt=-- a cat"]),
        ("evaluate", {"result": "-x.mp4", "require": ["psnr"]}, ["--require", "psnr", "--", "-x.mp4"]),
    ],
)  # fmt: skip
def test_json_becomes_a_command_line(command, values, words):
    _, parser = load_command(command)
    assert parser.words(values) == words


@pytest.mark.parametrize("name", batch.COMMANDS)
def test_every_command_of_a_batch_says_what_it_reads_and_writes(name):
    values = {
        "recon": {"input_video": "a.mp4", "cam": ["30"], "output_dir": "out"},
        "stereo": {"input_video": "a.mp4", "cam": ["30"], "output_dir": "out"},
        "export": {"input_video": "a.mp4", "output": "out/a.glb"},
        "solve": {"input_video": "a.mp4", "output": "out/a.npz"},
        "generate": {"color_video": "a.mp4", "mask_video": "m.mp4", "output_video": "out/a.mp4"},
        "imagine": {"image": "a.mp4", "output_dir": "out"},
        "evaluate": {"result": "a.mp4", "json": "out/a.json"},
    }[name]
    command, parser = load_command(name)
    args = parser.parse_args(parser.words(values))
    files = command.files(args)
    assert "a.mp4" in files.read and files.written
    assert all(Path(path).parent == Path("out") for path in files.written)
    with pytest.raises((EX4DError, OSError)):
        command.check(args)


def test_the_time_left_is_known_once_every_command_has_been_seen():
    tasks = [Task(Job(n, str(n), command, {})) for n, command in enumerate(["recon"] * 4 + ["generate"] * 2)]
    report = Report(tasks, 2, {"generate": [100.0]})
    assert report.seconds_left() is None and "left" not in report.line()
    for task, state in zip(tasks, (State.DONE, State.SKIPPED)):
        task.state = state
        report.settled(task, 10.0)
    assert report.seconds_left() == (2 * 10 + 2 * 100) / 2
    assert report.line().endswith("2/6 jobs, about 0:01:50 left")
    assert clock(3.24) == "3.2 s"


SERVING = """
import sys, time, types
from pathlib import Path
from ex4d_core.machine.kept import kept
from ex4d_core.wan.host import serve

def main(job):
    words = job.read_text().split()
    print("at work with", kept("model", 1, time.monotonic_ns), flush=True)
    if words[0] == "wait":
        time.sleep(60)
    return int(words[0])

sys.modules["ex4d_core.wan.host.made_up"] = types.SimpleNamespace(main=main)
raise SystemExit(serve.main(Path()))
"""


def test_one_child_in_comfyui_s_folder_does_job_after_job_and_keeps_its_models(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(kept, "_kept", {})
    monkeypatch.setattr(comfyui, "find_comfyui", lambda given: tmp_path)
    monkeypatch.setattr(comfyui, "_command", lambda *_: [sys.executable, "-c", SERVING])
    monkeypatch.setenv("PYTHONPATH", str(comfyui.ROOT))
    monkeypatch.setattr(comfyui, "_without_packs", lambda environment: environment)
    parser = Parser("generate", None)
    comfyui.add_arguments(parser)
    args = parser.parse_args([])
    assert [comfyui.run("made_up", job, args) for job in ("0", "2", "0")] == [0, 2, 0]
    served = kept._kept["comfyui"][1]
    assert comfyui.run("made_up", "no number", args) == 1, "a fault of our own, which ends the process too"
    assert served.process.wait(20) != 0
    said = [line for line in capfd.readouterr().err.splitlines() if "at work" in line]
    assert len(said) == 4 and len(set(said)) == 1, "one process, one model"
    # A child that is killed is told, and the next job has another.
    threading.Timer(1.0, lambda: kept._kept["comfyui"][1].process.kill()).start()
    assert comfyui.run("made_up", "wait", args) == 1
    assert "ComfyUI's process has ended (-9)" in capfd.readouterr().err
    # Asked to stop, the child is ended.
    monkeypatch.setattr(comfyui, "interrupted", lambda: True)
    with pytest.raises(Cancelled):
        comfyui.run("made_up", "wait", args)
    assert "comfyui" not in kept._kept
