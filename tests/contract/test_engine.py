"""The engine's client against real engines: every call, and what every refusal means."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from carex.camunda.answers import Verdict
from carex.camunda.engine import Engine, EngineError
from carex.camunda.models import Models
from carex.camunda.variables import check, plain, typed_all
from carex.settings import CamundaSettings

if TYPE_CHECKING:
    from tools.servers import Engine as EngineServer

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="test"
  xmlns:camunda="http://camunda.org/schema/1.0/bpmn"><bpmn:error id="limit" errorCode="LIMIT" />"""
PROCESS = """<bpmn:process id="{key}" isExecutable="true" camunda:historyTimeToLive="1">
  <bpmn:startEvent id="s"/><bpmn:sequenceFlow id="f1" sourceRef="s" targetRef="{first}"/>{inside}
  <bpmn:sequenceFlow id="f2" sourceRef="{first}" targetRef="e"/><bpmn:endEvent id="e"/></bpmn:process>
</bpmn:definitions>"""
TASK = """<bpmn:serviceTask id="work" camunda:type="external" camunda:topic="{topic}"><bpmn:extensionElements>
  <camunda:properties><camunda:property name="queue" value="1c"/></camunda:properties>
  </bpmn:extensionElements></bpmn:serviceTask>"""
CALL = '<bpmn:callActivity id="work" calledElement="{child}" />'
BOUNDARY = """<bpmn:boundaryEvent id="b" attachedToRef="work"><bpmn:errorEventDefinition errorRef="limit"/>
  </bpmn:boundaryEvent><bpmn:sequenceFlow id="f3" sourceRef="b" targetRef="{caught}"/><bpmn:endEvent id="{caught}"/>"""
HANDLER = """<bpmn:subProcess id="handler" triggeredByEvent="true"><bpmn:startEvent id="hs">
  <bpmn:errorEventDefinition errorRef="limit"/></bpmn:startEvent>
  <bpmn:sequenceFlow id="h1" sourceRef="hs" targetRef="{caught}"/><bpmn:endEvent id="{caught}"/></bpmn:subProcess>"""
SUBPROCESS = """<bpmn:subProcess id="sub"><bpmn:startEvent id="ss"/>
  <bpmn:sequenceFlow id="s1" sourceRef="ss" targetRef="work"/>{work}</bpmn:subProcess>"""


def model(key: str, inside: str, first: str = "work") -> str:
    return HEAD + PROCESS.format(key=key, inside=inside, first=first)


@dataclass(frozen=True)
class Process:
    """A deployed process of one external task, unknown to all other tests."""

    server: EngineServer
    key: str
    topic: str

    def deploy(self, key: str, inside: str, first: str = "work") -> None:
        self.server.deploy(model(key, inside, first))


@pytest.fixture
def process(engine: EngineServer) -> Process:
    name = f"p{uuid.uuid4().hex[:12]}"
    found = Process(engine, name, f"t_{name}")
    found.deploy(name, TASK.format(topic=found.topic))
    return found


Scenario = Callable[[Engine], Awaitable[None]]


def on(process: Process, scenario: Scenario, **settings: Any) -> None:
    async def run() -> None:
        async with Engine(CamundaSettings(base_url=process.server.url, **settings)) as engine:
            await scenario(engine)

    asyncio.run(run())


async def started(engine: Engine, process: Process, **variables: Any) -> dict[str, Any]:
    """An instance's task, locked for 30 s."""
    await engine.start(process.key, typed_all(variables), business_key="order 7")
    (task,) = await engine.fetch_and_lock([process.topic], max_tasks=1, lock_ms=30_000)
    return task


async def refusal(call: Awaitable[Any]) -> Verdict:
    with pytest.raises(EngineError) as caught:
        await call
    return caught.value.answer.verdict


def test_a_task_is_fetched_with_all_that_the_bridge_needs(process):
    async def scenario(engine):
        task = await started(engine, process, name="Анна", big=2**53 + 1)
        assert plain(task["variables"]) == {"name": "Анна", "big": 2**53 + 1}
        assert task["extensionProperties"] == {"queue": "1c"}
        assert (task["businessKey"], task["workerId"], task["retries"]) == ("order 7", "universal-worker", None)

    on(process, scenario)


def test_a_completed_task_ends_its_instance(process):
    async def scenario(engine):
        task = await started(engine, process)
        await engine.complete(task["id"], engine.worker_id, typed_all({"result": "ok"}))
        (instance,) = await engine.history_instances(processDefinitionKey=process.key)
        assert instance["state"] == "COMPLETED"
        assert await refusal(engine.complete(task["id"], engine.worker_id)) is Verdict.GONE

    on(process, scenario)


def test_an_open_task_gives_its_topic(process):
    async def scenario(engine):
        await engine.start(process.key)
        assert process.topic in await engine.topic_names()
        await engine.fetch_and_lock([process.topic], max_tasks=1, lock_ms=30_000)
        assert process.topic not in await engine.topic_names()
        assert process.topic in await engine.topic_names(fetchable=False)

    on(process, scenario)


def test_a_long_poll_ends_with_the_first_task(process):
    async def scenario(engine):
        poll = asyncio.create_task(engine.fetch_and_lock([process.topic], max_tasks=1, lock_ms=30_000, wait_ms=20_000))
        await asyncio.wait([poll], timeout=0.3)
        await engine.start(process.key)
        assert len(await asyncio.wait_for(poll, 10)) == 1

    on(process, scenario)


ASKED: dict[str, Callable[[Engine, str, str], Awaitable[Any]]] = {
    "complete": lambda engine, task, worker: engine.complete(task, worker),
    "failure": lambda engine, task, worker: engine.failure(task, worker, message="m", retries=1),
    "bpmnError": lambda engine, task, worker: engine.bpmn_error(task, worker, "LIMIT"),
    "extendLock": lambda engine, task, worker: engine.extend_lock(task, worker, 30_000),
}


@pytest.mark.parametrize("call", ASKED)
def test_only_the_holder_of_a_task_may_say_how_it_ended(process, call):
    async def scenario(engine):
        task = await started(engine, process)
        assert await refusal(ASKED[call](engine, task["id"], "stranger")) is Verdict.LOST_LOCK
        await engine.unlock(task["id"])
        assert await refusal(ASKED[call](engine, task["id"], engine.worker_id)) is Verdict.UNLOCKED

    on(process, scenario)


def test_an_unlocked_task_can_be_locked_again_and_completed(process):
    async def scenario(engine):
        task = await started(engine, process)
        await engine.unlock(task["id"])
        await engine.lock(task["id"], engine.worker_id, 10_000)
        assert await refusal(engine.lock(task["id"], "stranger", 10_000)) is Verdict.LOST_LOCK
        await engine.complete(task["id"], engine.worker_id)

    on(process, scenario)


def test_a_lock_that_ran_out_cannot_be_prolonged_but_the_task_completed(process):
    async def scenario(engine):
        task = await started(engine, process)
        await engine.extend_lock(task["id"], engine.worker_id, 1)
        assert await refusal(engine.extend_lock(task["id"], engine.worker_id, 30_000)) is Verdict.LOST_LOCK
        await engine.complete(task["id"], engine.worker_id)

    on(process, scenario)


def test_a_suspended_task_says_so(process):
    async def scenario(engine):
        task = await started(engine, process)
        path = f"/process-instance/{task['processInstanceId']}/suspended"
        process.server.call("PUT", path, {"suspended": True})
        assert await refusal(engine.complete(task["id"], engine.worker_id)) is Verdict.SUSPENDED

    on(process, scenario)


@pytest.mark.parametrize(
    "variable",
    [
        {"value": "text", "type": "Integer"},
        {"value": 1, "type": "Nope"},
        {"value": "x" * 4001, "type": "String"},
        {"value": "2026-11-21T10:20:30Z", "type": "Date"},
        {"value": "rO0AB", "type": "Object", "valueInfo": {"objectTypeName": "java.util.List"}},
        "not typed",
    ],
    ids=["text as number", "type", "long", "date", "Java", "form"],
)
def test_unfit_variables_are_bad_input_and_the_task_stays_ours(process, variable):
    async def scenario(engine):
        task = await started(engine, process)
        assert await refusal(engine.complete(task["id"], engine.worker_id, {"v": variable})) is Verdict.BAD_INPUT
        await engine.failure(task["id"], engine.worker_id, message="unfit", retries=0)

    on(process, scenario)


CHECKED = {
    "text": "ж" * 4000,
    "number": 5,
    "big": {"value": "9007199254740993", "type": "Long"},
    "short": {"value": 7, "type": "short"},
    "price": 1.5,
    "yes": True,
    "nothing": None,
    "day": {"value": "2026-11-21 10:20:30+03:00", "type": "Date"},
    "raw": {"value": "eA==", "type": "Bytes"},
    "nothing typed": {"value": None, "type": "String"},
}


def test_every_checked_variable_is_taken(process):
    async def scenario(engine):
        variables, problems = check(CHECKED)
        assert problems == []
        await engine.start(process.key, variables)
        (task,) = await engine.fetch_and_lock([process.topic], max_tasks=1, lock_ms=30_000)
        kept = plain(task["variables"])
        assert kept.pop("day") == "2026-11-21T07:20:30.000+0000"
        assert kept == {
            **{name: CHECKED[name] for name in ("text", "number", "price", "yes", "nothing")},
            **{"big": 9007199254740993, "short": 7, "raw": "eA==", "nothing typed": None},
        }

    on(process, scenario)


@pytest.mark.parametrize("engine", ["camunda"], indirect=True)
def test_json_comes_back_as_it_went(process):
    async def scenario(engine):
        order = {"items": [{"id": 2**53 + 1, "name": "Стол"}], "note": "ж" * 5000}
        task = await started(engine, process, order=order, long="ж" * 5000)
        assert plain(task["variables"]) == {"order": order, "long": "ж" * 5000}

    on(process, scenario)


@pytest.mark.parametrize("engine", ["operaton"], indirect=True)
def test_an_engine_without_json_is_recognised_and_served(process):
    async def scenario(engine):
        with pytest.raises(EngineError) as caught:
            await engine.start(process.key, typed_all({"order": [1], "long": "ж" * 5000}))
        assert caught.value.answer.refuses_json
        await engine.start(process.key, typed_all({"order": [1], "long": "ж" * 5000}, json=False))

    on(process, scenario)


def test_a_failure_without_retries_is_an_incident_until_retries_are_set(process):
    async def scenario(engine):
        task = await started(engine, process)
        await engine.failure(task["id"], engine.worker_id, message="m" * 700, details="why\nж" * 900, retries=0)
        (incident,) = await engine.incidents(processInstanceId=task["processInstanceId"])
        assert (incident["configuration"], len(incident["incidentMessage"])) == (task["id"], 666)
        assert await engine.error_details(task["id"]) == "why\nж" * 900
        await engine.set_retries([task["id"]], 2)
        assert await engine.incidents(processInstanceId=task["processInstanceId"]) == []
        assert (await engine.external_task(task["id"]))["retries"] == 2

    on(process, scenario)


def test_retries_are_set_for_all_tasks_or_for_none(process):
    async def scenario(engine):
        task = await started(engine, process)
        assert await refusal(engine.set_retries([task["id"], "nope"], 7)) is Verdict.GONE
        assert (await engine.external_task(task["id"]))["retries"] is None

    on(process, scenario)


def test_a_failure_hides_the_task_for_its_retry_timeout(process):
    async def scenario(engine):
        task = await started(engine, process)
        await engine.failure(task["id"], engine.worker_id, message="m", retries=2, retry_timeout_ms=30_000)
        assert await engine.fetch_and_lock([process.topic], max_tasks=1, lock_ms=1000) == []
        (hidden,) = await engine.external_tasks(topicName=process.topic, locked=True)
        assert (hidden["id"], hidden["retries"]) == (task["id"], 2)
        assert await engine.count_external_tasks(topicName=process.topic, notLocked=True) == 0

    on(process, scenario)


def test_of_many_completes_at_once_one_counts_and_no_other_looks_like_an_outage(process):
    async def complete(engine: Engine, task_id: str) -> Verdict:
        try:
            await engine.complete(task_id, engine.worker_id)
        except EngineError as error:
            return error.answer.verdict
        return Verdict.DONE

    async def scenario(engine):
        seen: Counter[Verdict] = Counter()
        for _ in range(15):
            task = await started(engine, process)
            seen.update(await asyncio.gather(*(complete(engine, task["id"]) for _ in range(8))))
        assert seen[Verdict.DONE] == 15
        assert set(seen) <= {Verdict.DONE, Verdict.GONE, Verdict.RACE}

    on(process, scenario)


CATCHING = {
    "nothing": ("{work}", "work", None),
    "the task": ("{work}" + BOUNDARY, "work", None),
    "a subprocess": (SUBPROCESS + BOUNDARY.replace('="work"', '="sub"'), "sub", None),
    "an event subprocess": ("{work}" + HANDLER, "work", None),
    "a caller": ("{work}", "work", BOUNDARY),
    "an event subprocess of a caller": ("{work}", "work", HANDLER),
}
"""What catches an error: the process's activities, which of them comes first, and what a calling process adds."""


@pytest.mark.parametrize(("code", "known"), [("LIMIT", True), ("TYPO", False)])
@pytest.mark.parametrize("catching", CATCHING)
def test_what_the_model_is_said_to_catch_the_engine_catches(process, catching, code, known):
    inside, first, calling = CATCHING[catching]
    marks = {"topic": process.topic, "caught": f"caught_{process.key}"}
    work = TASK.format(**marks)
    process.deploy(process.key, inside.format(work=work, **marks), first=first)
    caller = f"caller_{process.key}"
    process.deploy(caller, CALL.format(child=process.key) + (calling or "").format(work="", **marks))

    async def scenario(engine):
        await engine.start(caller)
        (task,) = await engine.fetch_and_lock([process.topic], max_tasks=1, lock_ms=30_000)
        caught = await Models(engine).catches(task, code)
        await engine.bpmn_error(task["id"], engine.worker_id, code, "too much")
        path = f"/history/activity-instance/count?activityId={marks['caught']}"
        assert process.server.call("GET", path)["count"] == int(caught)
        assert caught is (known and catching != "nothing")

    on(process, scenario)


def test_an_event_subprocess_does_not_catch_its_own_error(process):
    again = TASK.format(topic=process.topic).replace('"work"', '"again"')
    flow = '<bpmn:sequenceFlow id="h2" sourceRef="again" targetRef="done"/>'
    handler = HANDLER.format(caught="done").replace('"done"/>', f'"again"/>{again}{flow}', 1)
    process.deploy(process.key, TASK.format(topic=process.topic) + handler)

    async def scenario(engine):
        task = await started(engine, process)
        assert await Models(engine).catches(task, "LIMIT")
        await engine.bpmn_error(task["id"], engine.worker_id, "LIMIT")
        (task,) = await engine.fetch_and_lock([process.topic], max_tasks=1, lock_ms=30_000)
        assert not await Models(engine).catches(task, "LIMIT")
        await engine.bpmn_error(task["id"], engine.worker_id, "LIMIT")
        assert await engine.history_count(processInstanceId=task["processInstanceId"], finished=True) == 1

    on(process, scenario)


def test_the_topics_of_deployed_models_are_known_before_their_first_task(process):
    async def scenario(engine):
        assert process.topic in await Models(engine).topics()
        assert process.topic not in await engine.topic_names(fetchable=False)

    on(process, scenario)


@pytest.mark.parametrize("xml", [b"<a", (HEAD + "</bpmn:definitions>x").encode()])
def test_a_broken_model_is_bad_input(process, xml):
    async def scenario(engine):
        assert await refusal(engine.deploy({"a.bpmn": xml}, "broken")) is Verdict.BAD_INPUT

    on(process, scenario)


def test_the_same_file_is_deployed_once(process):
    async def scenario(engine):
        key = f"again_{process.key}"
        file = model(key, TASK.format(topic="t")).encode()
        assert (await engine.deploy({"again.bpmn": file}, key))["deployedProcessDefinitions"]
        assert not (await engine.deploy({"again.bpmn": file}, key))["deployedProcessDefinitions"]
        (definition,) = await engine.process_definitions(key=key, latestVersion=True)
        assert definition["version"] == 1

    on(process, scenario)


def test_a_tenants_process_is_started_for_the_tenant(process):
    async def scenario(engine):
        key = f"tenant_{process.key}"
        file = model(key, TASK.format(topic="t")).encode()
        await engine.deploy({"t.bpmn": file}, key, tenant_id="acme")
        assert await refusal(engine.start(key)) is Verdict.GONE
        assert (await engine.start(key, tenant_id="acme"))["tenantId"] == "acme"

    on(process, scenario)


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        (lambda url: url.removesuffix("/engine-rest"), Verdict.CONFIGURATION),
        (lambda url: url + "/nope", Verdict.CONFIGURATION),
        (lambda url: "http://127.0.0.1:1/engine-rest", Verdict.OUTAGE),
        (lambda url: url + "/", None),
    ],
)
def test_a_wrong_address_is_told_from_an_engine_that_is_down(engine, address, verdict):
    async def scenario():
        async with Engine(CamundaSettings(base_url=address(engine.url))) as client:
            if verdict is None:
                assert await client.version()
            else:
                assert await refusal(client.version()) is verdict

    asyncio.run(scenario())
