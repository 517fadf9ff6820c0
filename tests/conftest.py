"""Fixtures shared by all Python tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Workers beside each other keep all cores busy: threads of torch would wait for each other, spinning. Before torch is there.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# For ex4d_core. Nothing of ComfyUI is ever imported here: nodes are tested inside servers (tests/harness).
sys.path.insert(0, str(ROOT))

from harness import hosts  # noqa: E402
from harness.server import Server  # noqa: E402

CI = os.environ.get("CI", "").lower() == "true"
HOSTS = hosts.find_hosts()
LONG = {
    "test_training_run", "test_depthcrafter_kernels", "test_bad_input", "test_scene_memory", "test_depthcrafter_recorded",
    "test_training_masks", "test_batch", "test_fuzz", "test_animate_register", "test_render", "test_demo_scene",
    "test_newcomer", "test_package", "test_triton", "test_recon", "test_generate_flags", "test_benchmark", "test_evaluate",
}  # fmt: skip
"""The core's longest files. They go first: of processes beside each other none is then left with one of them at the end."""


def pytest_addoption(parser):
    help = "every test on every host: also what is the same on all of them, long, and else run on one alone"
    parser.addoption("--every-host", action="store_true", help=help)


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of data recorded from the published system, unpacked from tests/golden/recorded."""
    from harness import recorded  # brings torch, which what only starts other processes does not need

    return recorded.folder()


@pytest.fixture(scope="session")
def large_reference() -> Path:
    """The whole recorded set with the published example's videos (EX4D_REFERENCE, or beside the repository)."""
    path = Path(os.environ.get("EX4D_REFERENCE") or ROOT.parent / "shared" / "reference")
    if not path.is_dir():
        pytest.skip(f"the large recorded set is not at {path} (set EX4D_REFERENCE)")
    return path


def pytest_generate_tests(metafunc):
    """Run every test that uses ``host`` (``server`` and ``client`` do) once per ComfyUI checkout."""
    if "host" in metafunc.fixturenames:
        found = HOSTS or [None]
        ids = [f"comfy-{host.version}" if host else "no-comfyui" for host in found]
        metafunc.parametrize("host", found, ids=ids, indirect=True, scope="session")


@pytest.fixture(scope="session")
def host(request) -> hosts.Host:
    """A ComfyUI checkout."""
    if request.param is None:
        text = "NO COMFYUI FOUND: set COMFYUI_PATH to a checkout to run the node and browser tests"
        pytest.fail(text) if CI else pytest.skip(text)
    return request.param


@pytest.fixture(scope="session")
def every_host(pytestconfig) -> bool:
    """Whether each test is run on each host."""
    return pytestconfig.getoption("every_host")


@pytest.fixture()
def newest_host(host, every_host) -> None:
    """For what is the same on all hosts, and long: run on the newest, unless all are asked for."""
    if host != HOSTS[-1] and not every_host:
        pytest.skip("run on the newest host (--every-host: on all)")


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder for the servers of this run, those of other workers too."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "servers"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def server(host, shared, tmp_path_factory):
    """A running server with the pack and the test nodes; one per host and session, one host after another."""
    # Live previews, which most users have switched on; the host's own default is none.
    previews = ("--preview-method", "latent2rgb")
    base = tmp_path_factory.mktemp(f"comfy-{host.version}")
    with Server(host, base, arguments=previews, shared=shared) as running:
        yield running


@pytest.fixture()
def client(server):
    """The server's client; a test that killed the server fails here and not in its neighbours."""
    assert server.alive(), f"the server has died:\n{server.log()[-4000:]}"
    return server.client


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark tests by what they need, and by their server: where tests run in parallel, those of one server stay together."""
    items.sort(key=lambda item: item.path.stem not in LONG)
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "host" in names:
            item.add_marker(pytest.mark.comfy)
            host = item.callspec.params["host"]
            place = "newest frontend" if "vue_server" in names else getattr(host, "version", "no host")
            # Processes of their own may run beside any server; small groups fill the end of a parallel run.
            own = "" if {"server", "vue_server"} & set(names) else ", no server"
            item.add_marker(pytest.mark.xdist_group(f"{place}{own}"))
        else:  # what a module starts for itself is started once
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.browser)


def pytest_runtest_setup(item):
    """Fail where groups are scattered over the workers: else nothing would, and every worker start every server."""
    grouped = getattr(item.config.option, "loadgroup", False) and item.get_closest_marker("xdist_group")
    if grouped and "@" not in item.nodeid:
        pytest.fail("this pytest-xdist does not group this pytest's tests by their server")


@pytest.fixture(scope="module")
def one_thread():
    """Threads cost more than they give where tensors are tiny and cores busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
