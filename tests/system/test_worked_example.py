"""What tools/examples shows, run as its README says: a process assigns a deal and writes a mail, with no code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.system.conftest import Installation
from tools.servers import MailSink, SimulatedPortal

if TYPE_CHECKING:
    from tools.servers import Engine, Vhost

EXAMPLES = Path(__file__).parents[2] / "tools" / "examples"


@pytest.fixture
def office(
    installation: Installation, clean_engine: Engine, broker: Vhost, tmp_path: Path
) -> Iterator[tuple[Installation, MailSink]]:
    portal, mail = SimulatedPortal(tmp_path), MailSink(tmp_path)
    portal.start()
    mail.start()
    portal.ready()
    mail.ready()
    installation.env.update(
        CAMUNDA_BASE_URL=clean_engine.url,
        RABBITMQ_HOST=broker.host,
        RABBITMQ_PORT=str(broker.port),
        RABBITMQ_USERNAME=broker.username,
        RABBITMQ_PASSWORD=broker.password,
        CAREX_RABBITMQ__VHOST=broker.vhost,
        WEBHOOK_CAREX=portal.webhook,
        CAREX_PLUGINS__SERVICES__SMTP_HOST="127.0.0.1",
        CAREX_PLUGINS__SERVICES__SMTP_PORT=str(mail.port),
        CAREX_PLUGINS__SERVICES__SMTP_SECURITY="none",
        CAREX_PLUGINS__SERVICES__MAIL_FROM="carex@localhost",
    )
    yield installation, mail
    for process in installation.started:
        process.terminate()
    for process in installation.started:
        process.wait(20)
    portal.close()
    mail.close()


def states(engine: Engine, key: str) -> list[tuple[str, str]]:
    """Of each instance, how it stands, and the end event that it reached."""
    found = []
    for each in engine.call("GET", f"/history/process-instance?processDefinitionKey={key}"):
        path = f"/history/activity-instance?processInstanceId={each['id']}&activityType=noneEndEvent"
        found.append((each["state"], "".join(end["activityId"] for end in engine.call("GET", path))))
    return sorted(found)


def test_a_process_assigns_a_deal_and_tells_by_mail(
    office: tuple[Installation, MailSink], clean_engine: Engine, eventually: Callable[..., Any]
) -> None:
    home, mail = office
    for args in (
        ("users", "add", "1", "Анна Орлова"),
        ("camunda", "deploy", str(EXAMPLES / "order.bpmn")),
        ("camunda", "start", "order", "--var", "deal_id=123"),
    ):
        done = home.run(*args)
        assert done.returncode == 0, done.stderr

    home.start("camunda", "bridge")
    home.start("worker", "--consume", "bitrix24.queue", "--consume", "python-services.queue")

    eventually(lambda: states(clean_engine, "order") == [("COMPLETED", "done")], 40, "the end of the process")
    assert "Сделка 123: Анна Орлова" in mail.log.read_text()


PROGRAMS = {"python": [sys.executable, "answer.py"], "node": ["node", "answer.mjs"]}
ANSWERED = """<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn"
             targetNamespace="carex.test">
  <process id="{key}" isExecutable="true" camunda:historyTimeToLive="P1D">
    <startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="approve"/>
    <serviceTask id="approve" camunda:type="external" camunda:topic="approve"/>
    <boundaryEvent id="caught" attachedToRef="approve"><errorEventDefinition errorRef="much"/></boundaryEvent>
    <sequenceFlow id="f2" sourceRef="caught" targetRef="refused"/><endEvent id="refused"/>
    <sequenceFlow id="f3" sourceRef="approve" targetRef="approved"/><endEvent id="approved"/>
  </process>
  <error id="much" errorCode="TOO_MUCH"/>
</definitions>"""


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "amqplib@0.10"]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    return folder


@pytest.mark.parametrize("engine", ["operaton"], indirect=True)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_without_carex_answers(
    program: str,
    office: tuple[Installation, MailSink],
    clean_engine: Engine,
    broker: Vhost,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    eventually: Callable[..., Any],
) -> None:
    home, _ = office
    key = f"approval_{uuid.uuid4().hex[:8]}"
    clean_engine.deploy(ANSWERED.format(key=key), key)
    bridge = home.start("camunda", "bridge")
    eventually(lambda: "RabbitMQ was checked" in home.said(bridge), 30, "the bridge's start")
    name, file = PROGRAMS[program]
    folder = request.getfixturevalue("node_modules") if program == "node" else tmp_path
    shutil.copy(EXAMPLES / file, folder)
    command = [name, str(folder / file), broker.url, "default.queue"]
    other = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL)
    try:
        for amount in (10, 5000, None):
            variables = {} if amount is None else {"amount": {"value": amount, "type": "Integer"}}
            clean_engine.call("POST", f"/process-definition/key/{key}/start", {"variables": variables})
        wanted = [("ACTIVE", ""), ("COMPLETED", "approved"), ("COMPLETED", "refused")]
        eventually(lambda: states(clean_engine, key) == wanted, 40, "the three answers")
        (incident,) = clean_engine.call("GET", "/incident")
        assert incident["incidentMessage"] == "no amount was given", json.dumps(incident)
    finally:
        other.kill()
        other.wait()
