"""`carex camunda` as a person and a script see it, against real engines."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from carex.task import Task

if TYPE_CHECKING:
    from tools.servers import Engine

MODEL = """<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="test"
             xmlns:camunda="http://camunda.org/schema/1.0/bpmn">
  <process id="{key}" name="Заказ" isExecutable="true" camunda:historyTimeToLive="1">
    <startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="work"/>
    <serviceTask id="work" camunda:type="external" camunda:topic="{topic}">{properties}</serviceTask>
  </process>
</definitions>"""
TO_1C = """<extensionElements><camunda:properties><camunda:property name="queue" value="1c"/></camunda:properties>
</extensionElements>"""


@dataclass
class Office:
    """A home whose engine has one process that no other test knows."""

    home: Any
    engine: Engine
    key: str

    @property
    def topic(self) -> str:
        return f"bitrix_{self.key}"

    def write(self, properties: str = "") -> Path:
        file = Path(self.home.home) / f"{self.key}.bpmn"
        file.write_text(MODEL.format(key=self.key, topic=self.topic, properties=properties), encoding="utf-8")
        return file

    def camunda(self, *args: str) -> Any:
        return self.home.run("camunda", *args)

    def ask(self, *args: str) -> dict[str, Any]:
        found: dict[str, Any] = self.home.ask("camunda", *args)
        return found

    def fetch(self, lock_ms: int = 60_000) -> dict[str, Any]:
        """The task of a new instance, held by a worker called w."""
        self.engine.call("POST", f"/process-definition/key/{self.key}/start", {"businessKey": "7"})
        topics = [{"topicName": self.topic, "lockDuration": lock_ms}]
        body = {"workerId": "w", "maxTasks": 1, "topics": topics}
        (task,) = self.engine.call("POST", "/external-task/fetchAndLock", body)
        return dict(task)

    def fail(self, task: dict[str, Any]) -> None:
        body = {"workerId": "w", "errorMessage": "the portal said no", "retries": 0}
        self.engine.call("POST", f"/external-task/{task['id']}/failure", body)


@pytest.fixture
def office(installation, engine) -> Office:
    installation.env["CAMUNDA_BASE_URL"] = engine.url
    found = Office(installation, engine, f"p{uuid.uuid4().hex[:10]}")
    engine.deploy(found.write().read_text(encoding="utf-8"))
    return found


def test_a_model_is_deployed_and_its_topics_are_shown_with_their_queues(office):
    office.key = f"new_{office.key}"
    done = office.camunda("deploy", str(office.write(TO_1C)))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split() == [office.key, "1", f"{office.key}.bpmn", office.topic, "→", "1c.queue"]


def test_a_model_that_the_engine_has_is_left_alone(office):
    file = str(office.write(TO_1C))
    assert office.ask("deploy", file)["processes"][0]["version"] == 2
    done = office.camunda("deploy", file)
    assert "Nothing new" in done.stderr


def test_a_dry_run_of_a_deployment_deploys_nothing(office):
    office.key = f"new_{office.key}"
    shown = office.ask("deploy", str(office.write()), "--dry-run")
    assert shown["processes"][0]["topics"] == {office.topic: "bitrix24.queue"}
    assert office.engine.call("GET", f"/process-definition/count?key={office.key}") == {"count": 0}


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [("<a", 2, "no BPMN model"), (MODEL.format(key="k", topic="t", properties="<nope/>"), 1, "nope")],
)
def test_a_broken_model_says_what_is_wrong(office, content, code, words):
    file = Path(office.home.home) / "broken.bpmn"
    file.write_text(content, encoding="utf-8")
    done = office.camunda("deploy", str(file))
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr


def test_an_instance_is_started_with_typed_variables(office):
    done = office.camunda("start", office.key, "--var", "n=5", "--var", "who=Анна", "--business-key", "Заказ 7")
    assert done.returncode == 0, done.stderr
    instance = office.engine.call("GET", f"/process-instance/{done.stdout.strip()}")
    variables = office.engine.call("GET", f"/process-instance/{done.stdout.strip()}/variables")
    assert instance["businessKey"] == "Заказ 7"
    assert {name: (each["type"], each["value"]) for name, each in variables.items()} == {
        "n": ("Integer", 5),
        "who": ("String", "Анна"),
    }


def test_a_variable_may_be_a_list_on_every_engine(office):
    done = office.camunda("start", office.key, "--var", 'items=[1, "б"]')
    path = f"/process-instance/{done.stdout.strip()}/variables/items?deserializeValue=false"
    assert json.loads(office.engine.call("GET", path)["value"]) == [1, "б"]


def test_a_dry_run_starts_nothing(office):
    shown = office.ask("start", office.key, "--dry-run")
    assert (shown["id"], shown["definition_id"].partition(":")[0]) == (None, office.key)
    assert office.engine.call("GET", f"/process-instance/count?processDefinitionKey={office.key}") == {"count": 0}


def test_the_processes_are_listed_with_what_runs_in_them(office):
    office.fail(office.fetch())
    (found,) = office.ask("processes", office.key)["processes"]
    assert (found["name"], found["version"], found["running"], found["incidents"]) == ("Заказ", 1, 1, 1)
    assert f"{office.key}" in office.camunda("processes").stdout


def test_statistics_count_what_was_done_and_what_waits(office):
    done = office.fetch()
    office.engine.call("POST", f"/external-task/{done['id']}/complete", {"workerId": "w"})
    office.fail(office.fetch())
    office.fetch()
    line = office.camunda("processes", office.key, "--stats").stdout.splitlines()[1]
    # key, name, version, tenant, running, incidents, completed, tasks, locked, failed
    assert line.split() == [office.key, "Заказ", "1", "–", "2", "1", "1", "2", "1", "1"]


def test_running_instances_are_listed_newest_first(office):
    stuck, running = office.fetch(), office.fetch()
    office.fail(stuck)
    found = office.ask("processes", office.key, "--instances")["instances"]
    assert [(each["id"], each["state"], each["business_key"]) for each in found] == [
        (running["processInstanceId"], "active", "7"),
        (stuck["processInstanceId"], "incident", "7"),
    ]


def test_tasks_show_who_holds_them_and_what_failed(office):
    failed, held = office.fetch(), office.fetch()
    office.fail(failed)
    first, second = office.ask("tasks", "--topic", office.topic)["tasks"]
    assert (first["id"], first["state"], first["worker"], first["queue"]) == (
        held["id"],
        "locked",
        "w",
        "bitrix24.queue",
    )
    assert (second["id"], second["state"], second["error"]) == (failed["id"], "failed", "the portal said no")
    assert second["incident"]


@pytest.mark.parametrize(("option", "shown"), [("--locked", "held"), ("--failed", "failed")])
def test_tasks_can_be_narrowed_down(office, option, shown):
    tasks = {"failed": office.fetch(), "held": office.fetch()}
    office.fail(tasks["failed"])
    (found,) = office.ask("tasks", "--topic", office.topic, option)["tasks"]
    assert found["id"] == tasks[shown]["id"]


def test_a_lock_that_ran_out_is_no_lock(office, eventually):
    office.fetch(lock_ms=1)
    eventually(lambda: office.ask("tasks", "--topic", office.topic)["tasks"][0]["state"] == "free")


def test_a_task_that_came_to_this_home_is_shown_with_its_state_here(office):
    task = office.fetch()
    office.home.put(Task(office.topic, {}, key=task["id"], source="rabbitmq"))
    (found,) = office.ask("tasks", "--topic", office.topic)["tasks"]
    assert found["here"]["state"] == "waiting"


@pytest.mark.parametrize("engine", ["operaton"], indirect=True)
def test_tasks_are_shown_though_this_homes_queue_is_down(office):
    task = office.fetch()
    office.home.env["REDIS_URL"] = "redis://127.0.0.1:1"
    done = office.camunda("tasks", "--topic", office.topic)
    assert (done.returncode, task["id"] in done.stdout) == (0, True), done.stderr
    assert "cannot be seen" in done.stderr


def test_unlocking_shows_the_owner_and_frees_the_task(office):
    task = office.fetch()
    done = office.camunda("unlock", task["id"])
    assert done.returncode == 0, done.stderr
    assert "locked by w until" in done.stderr
    assert office.engine.call("GET", f"/external-task/{task['id']}")["workerId"] is None


def test_unlocking_several_asks_first(office):
    one, other = office.fetch(), office.fetch()
    done = office.camunda("unlock", one["id"], other["id"])
    assert (done.returncode, "--yes" in done.stderr) == (5, True)
    assert office.engine.call("GET", f"/external-task/{one['id']}")["workerId"] == "w"


def test_a_dry_run_unlocks_nothing(office):
    task = office.fetch()
    assert office.ask("unlock", task["id"], "--dry-run")["unlocked"] == [task["id"]]
    assert office.engine.call("GET", f"/external-task/{task['id']}")["workerId"] == "w"


def test_of_several_tasks_the_unknown_ones_are_named(office):
    task = office.fetch()
    done = office.camunda("unlock", task["id"], "nope", "--yes", "--json")
    assert (done.returncode, json.loads(done.stdout)["unlocked"]) == (7, [task["id"]])
    assert "No open external task nope" in done.stderr


def test_retries_resolve_an_incident(office):
    task = office.fetch()
    office.fail(task)
    done = office.camunda("retries", task["id"], "--set", "3")
    assert done.returncode == 0, done.stderr
    assert office.engine.call("GET", f"/incident?configuration={task['id']}") == []
    assert office.ask("tasks", "--topic", office.topic)["tasks"][0]["retries"] == 3


@pytest.mark.parametrize("engine", ["operaton"], indirect=True)
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["start", "nope"], 4, "No process 'nope' is deployed"),
        (["processes", "nope"], 4, "No process 'nope' is deployed"),
        (["unlock", "nope", "--yes"], 4, "No open external task nope"),
        (["retries", "nope", "--set", "1"], 4, "No open external task nope"),
        (["retries", "nope", "--set", "-1"], 2, "--set"),
        (["start", "nope", "--var", "a"], 2, "KEY=VALUE"),
        (["deploy", "nope.bpmn"], 2, "nope.bpmn cannot be read"),
        (["tasks", "--locked", "--failed"], 2, "not both"),
    ],
)
def test_what_cannot_be_done_is_said_clearly(office, words, code, said):
    done = office.camunda(*words)
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("", 3, "Set CAMUNDA_BASE_URL"),
        ("engine", 3, "not the address of an engine"),
        ("http://user:s3cret-word@127.0.0.1:1/engine-rest", 6, "Connection refused"),
    ],
)
def test_without_an_engine_the_way_to_one_is_shown(installation, url, code, said):
    installation.env["CAMUNDA_BASE_URL"] = url
    done = installation.run("camunda", "tasks")
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "s3cret-word" not in done.stderr


def test_a_wrong_password_is_a_matter_of_settings(installation, start_engine):
    engine = start_engine("operaton", auth=True)
    installation.env |= {"CAMUNDA_BASE_URL": engine.url, "CAMUNDA_AUTH_USERNAME": "demo"}
    installation.env["CAMUNDA_AUTH_PASSWORD"] = "wrong-word"
    done = installation.run("camunda", "processes")
    assert (done.returncode, "CAMUNDA_AUTH_PASSWORD" in done.stderr) == (3, True), done.stderr
    assert "wrong-word" not in done.stderr
