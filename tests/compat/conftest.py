"""Starts a gateway per client and tells in the end how each fared."""
import collections
import contextlib
import json
import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e"), str(HERE)]
from clients import CLIENTS  # noqa: E402
from execgate import BUILD, Gateway  # noqa: E402

BUILT = pathlib.Path(os.environ.get("COMPAT_BUILD", BUILD / "compat")).resolve()
TABLE = pytest.StashKey()


def manifest():
    file = BUILT / "manifest.json"
    assert file.exists(), f"{file} is missing: run `make compat`"
    return json.loads(file.read_text())


def pytest_configure(config):
    config.stash[TABLE] = collections.defaultdict(lambda: {"passed": 0, "failed": 0, "invocations": 0, "wrong": 0})


def kinds(client):
    """The kinds of answers for which a client has all behaviours."""
    return ["whole", "streamed"] if client.streaming and client.streams else ["whole"]


def pytest_generate_tests(metafunc):
    if "client" not in metafunc.fixturenames:
        return
    groups = manifest()
    wanted = getattr(metafunc.function, "only", lambda client: True)
    clients = [c for c in CLIENTS if groups.get(c.group) == {} and wanted(c)]
    if "kind" in metafunc.fixturenames:
        pairs = [(c, kind) for c in clients for kind in kinds(c)]
        metafunc.parametrize("client, kind", pairs, ids=[f"{c.name.replace(' ', '-')}-{kind}" for c, kind in pairs])
    else:
        metafunc.parametrize("client", clients, ids=[c.name.replace(" ", "-") for c in clients])


def pytest_collection_modifyitems(items):
    """Client by client, so that each needs its gateways once."""
    def place(item):
        params = getattr(item, "callspec", None) and item.callspec.params or {}
        return (CLIENTS.index(params["client"]) if "client" in params else -1, params.get("kind") == "streamed")
    items.sort(key=place)


def handler(client, name, words, folder, environment, timeout, processes):
    return (f"  {name}:\n    command: {json.dumps([str(word) for word in words])}\n    workingDirectory: {folder}\n"
            f"    environment: {json.dumps(environment)}\n    timeout: {timeout}\n"
            f"    processes: {json.dumps(processes)}\n    triggers: [{{http: 'ANY /{name}/{{what}}'}}]\n")


@contextlib.contextmanager
def serve(folder, client, kind="whole", before=(), hasty=False, concurrency=1, processes=1):
    """A gateway with the handler `app` and, if asked for, `hasty`, whose deadline is short; each at /NAME/{what}."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [*before, *(client.command if kind == "whole" else client.streaming)(BUILT)]
    cwd = client.cwd(BUILT) if client.cwd else folder
    environment = {**client.environment, **({"AWS_LWA_INVOKE_MODE": "response_stream"} if kind == "streamed" else {})}
    shape = {"min": processes, "max": processes, "concurrency": concurrency, "stopTimeout": "2s"}
    blueprint = "blueprint: 1\nname: compat\nhandlers:\n" + handler(client, "app", words, cwd, environment, "60s", shape)
    if hasty:
        blueprint += handler(client, "hasty", words, cwd, environment, "1s", {**shape, "min": 0})
    with Gateway(folder, blueprint) as g:
        yield g


@pytest.fixture(scope="session")
def record(request):
    """record(client, invocations, wrong): what a test of volume did."""
    def add(client, invocations, wrong):
        row = request.config.stash[TABLE][client.name]
        row["invocations"] += invocations
        row["wrong"] += wrong
    return add


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    client = getattr(item, "callspec", None) and item.callspec.params.get("client")
    if client and (report.when == "call" or report.failed):
        item.config.stash[TABLE][client.name]["passed" if report.passed else "failed"] += 1


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[TABLE]
    terminalreporter.section("official clients")
    terminalreporter.write_line(f"{'client':<42} {'version':<11} {'tests passed':>12} {'failed':>6} {'invocations':>11} {'wrong answers':>13}")
    for client in CLIENTS:
        if client.name in rows:
            row = rows[client.name]
            terminalreporter.write_line(f"{client.name:<42} {client.version:<11} {row['passed']:>12} {row['failed']:>6} {row['invocations']:>11} {row['wrong']:>13}")
    for name, result in manifest().items():
        if "left_out" in result:
            terminalreporter.write_line(f"LEFT OUT: {name}: {result['left_out']}")
