"""The engines that the tests use: both answer, each is what we say it is, and none stays behind."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tools.servers import Engine

    StartEngine = Callable[..., Engine]

ROOT = Path(__file__).parents[2]
VERSIONS = {"operaton": "1.0.3", "camunda": "7.24.0"}
MODEL = """<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="test"
             xmlns:camunda="http://camunda.org/schema/1.0/bpmn">
  <process id="kept" isExecutable="true" camunda:historyTimeToLive="1">
    <startEvent id="start"/><sequenceFlow id="flow" sourceRef="start" targetRef="work"/>
    <serviceTask id="work" camunda:type="external" camunda:topic="anything"/>
  </process>
</definitions>"""


def test_an_engine_answers_with_its_version(engine: Engine) -> None:
    assert engine.call("GET", "/version") == {"version": VERSIONS[engine.flavour]}


def test_a_model_is_deployed_and_an_instance_waits_at_its_external_task(clean_engine: Engine) -> None:
    clean_engine.deploy(MODEL)
    clean_engine.call("POST", "/process-definition/key/kept/start", {})

    assert clean_engine.call("GET", "/external-task/topic-names") == ["anything"]


@pytest.mark.parametrize("engine", ["camunda"], indirect=True)
def test_camunda_has_variables_of_type_json(clean_engine: Engine) -> None:
    clean_engine.deploy(MODEL)
    variables = {"some": {"value": '{"a": 1}', "type": "Json"}}

    started = clean_engine.call("POST", "/process-definition/key/kept/start", {"variables": variables})

    kept = clean_engine.call("GET", f"/process-instance/{started['id']}/variables/some?deserializeValue=false")
    assert kept["type"] == "Json"


@pytest.mark.parametrize("engine", ["operaton"], indirect=True)
def test_operaton_has_not(clean_engine: Engine) -> None:
    clean_engine.deploy(MODEL)
    variables = {"some": {"value": '{"a": 1}', "type": "Json"}}

    with pytest.raises(RuntimeError, match="400"):
        clean_engine.call("POST", "/process-definition/key/kept/start", {"variables": variables})


@pytest.mark.parametrize("flavour", VERSIONS)
def test_an_engine_on_a_file_keeps_its_processes_through_a_crash(
    flavour: str, start_engine: StartEngine, tmp_path: Path
) -> None:
    engine = start_engine(flavour, database=tmp_path / "engine")
    engine.deploy(MODEL)
    engine.call("POST", "/process-definition/key/kept/start", {"businessKey": "42"})

    engine.kill()
    assert not engine.answers()
    engine.start()
    engine.ready()

    (instance,) = engine.call("GET", "/process-instance")
    assert instance["businessKey"] == "42"


@pytest.mark.parametrize("flavour", VERSIONS)
def test_an_engine_with_authentication_refuses_strangers(flavour: str, start_engine: StartEngine) -> None:
    engine = start_engine(flavour, auth=True)

    assert engine.call("GET", "/external-task/count") == {"count": 0}
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{engine.url}/external-task/count", timeout=10)


def processes(word: str) -> list[str]:
    """The ids of all processes with this word in their command lines."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word in file.read_bytes().decode(errors="replace").split("\0"):
                found.append(file.parent.name)
    return found


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
@pytest.mark.usefixtures("start_engine")
def test_the_engine_ends_with_the_program_that_runs_it(how: signal.Signals) -> None:
    if shutil.which("java") is None or shutil.which("mvn") is None:
        pytest.skip("java and mvn not found on the path")
    command = [sys.executable, ROOT / "tools/engine/run", "operaton", "--quick"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        port = urllib.parse.urlsplit(program.stdout.readline()).port
        assert len(processes(f"--server.port={port}")) == 1

        program.send_signal(how)

    deadline = time.monotonic() + 20
    while processes(f"--server.port={port}"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
