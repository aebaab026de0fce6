"""What models say about topics, and about which errors are caught."""

import asyncio

import pytest

from carex.camunda.answers import Answer, EngineError, Verdict
from carex.camunda.models import Model, Models

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL"
  xmlns:camunda="http://camunda.org/schema/1.0/bpmn" xmlns:operaton="http://operaton.org/schema/1.0/bpmn">
  <bpmn:error id="limit" errorCode="LIMIT" /><bpmn:error id="other" errorCode="OTHER" /><bpmn:error id="plain" />"""
TASK = '<bpmn:serviceTask id="work" camunda:type="external" camunda:topic="a_topic" />'

MESSAGE = '<bpmn:messageEventDefinition camunda:type="external" camunda:topic="c" />'


def model(inside: str) -> Model:
    return Model(f'{HEAD}<bpmn:process id="p">{inside}</bpmn:process></bpmn:definitions>')


def boundary(on: str, error: str | None = "limit") -> str:
    reference = f' errorRef="{error}"' if error else ""
    definition = f"<bpmn:errorEventDefinition{reference} />"
    return f'<bpmn:boundaryEvent id="b_{on}" attachedToRef="{on}">{definition}</bpmn:boundaryEvent>'


def event_subprocess(inside: str = "", error: str = "limit") -> str:
    start = f'<bpmn:startEvent id="s"><bpmn:errorEventDefinition errorRef="{error}" /></bpmn:startEvent>'
    return f'<bpmn:subProcess id="handler" triggeredByEvent="true">{start}{inside}</bpmn:subProcess>'


def subprocess(inside: str, kind: str = "subProcess") -> str:
    return f'<bpmn:{kind} id="sub">{inside}</bpmn:{kind}>'


def test_topics_are_found_in_every_kind_of_task():
    found = model(
        TASK
        + '<bpmn:sendTask id="t2" operaton:type="external" operaton:topic="b" />'
        + f'<bpmn:endEvent id="t3">{MESSAGE}</bpmn:endEvent>'
        + subprocess('<bpmn:businessRuleTask id="t4" camunda:type="external" camunda:topic="d" />')
        + '<bpmn:serviceTask id="t5" camunda:type="external" camunda:topic="a_topic" />'
    )
    assert found.tasks == {"work": "a_topic", "t2": "b", "t3": "c", "t4": "d", "t5": "a_topic"}


@pytest.mark.parametrize(
    "task",
    [
        '<bpmn:serviceTask id="t" camunda:type="external" camunda:topic="${expression}" />',
        '<bpmn:serviceTask id="t" camunda:class="com.example.Delegate" />',
        '<bpmn:serviceTask id="t" camunda:topic="x" />',
    ],
)
def test_what_names_no_topic_is_left_out(task):
    assert model(task).tasks == {}


def test_extension_properties_belong_to_their_task():
    given = '<camunda:properties><camunda:property name="queue" value="1c" /></camunda:properties>'
    extended = TASK.replace(" />", f"><bpmn:extensionElements>{given}</bpmn:extensionElements></bpmn:serviceTask>")
    found = model(extended + TASK.replace("work", "plain"))
    assert [found.properties(id) for id in ("work", "plain", "nope")] == [{"queue": "1c"}, {}, {}]


@pytest.mark.parametrize(
    ("inside", "caught"),
    [
        (TASK, False),
        (TASK + boundary("work"), True),
        (TASK + boundary("work", "other"), False),
        (TASK + boundary("work", None), True),
        (TASK + boundary("work", "plain"), True),
        (TASK + boundary("work", "other") + boundary("work"), True),
        (TASK + '<bpmn:userTask id="u" />' + boundary("u"), False),
        (TASK + event_subprocess(), True),
        (event_subprocess(TASK), False),
        (event_subprocess(TASK + boundary("work")), True),
        (subprocess(TASK) + boundary("sub"), True),
        (subprocess(TASK, "transaction") + boundary("sub"), True),
        (subprocess(TASK) + event_subprocess(), True),
        (subprocess(TASK + event_subprocess(error="other")) + boundary("sub"), True),
        (subprocess(event_subprocess(TASK)) + boundary("sub"), True),
        (subprocess('<bpmn:userTask id="u" />') + boundary("sub") + TASK, False),
    ],
)
def test_an_error_is_caught_on_the_activity_or_in_a_scope_around_it(inside, caught):
    assert model(inside).catches("work", "LIMIT") is caught


def test_an_error_of_a_message_event_is_caught_around_the_event():
    event = f'<bpmn:intermediateThrowEvent id="e">{MESSAGE}</bpmn:intermediateThrowEvent>'
    assert model(event + event_subprocess()).catches("e", "LIMIT")


def test_an_activity_that_the_model_does_not_know_catches_nothing():
    assert not model(TASK + boundary("work")).catches("nope", "LIMIT")


CALL = '<bpmn:callActivity id="{0}" calledElement="{1}" />'


@pytest.mark.parametrize(
    ("inside", "caught"),
    [
        (CALL.format("c", "child") + boundary("c"), True),
        (CALL.format("c", "child"), False),
        (CALL.format("c", "${any}") + boundary("c"), True),
        (CALL.format("c", "else") + boundary("c"), False),
        (CALL.format("c", "child") + boundary("c") + CALL.format("d", "child"), False),
        (CALL.format("c", "child") + boundary("c") + CALL.format("d", "${any}"), False),
        ("", False),
    ],
)
def test_a_caller_catches_only_if_every_call_that_may_be_meant_does(inside, caught):
    assert model(inside).catches_from("child", "LIMIT") is caught


@pytest.mark.parametrize("xml", ["", "not xml", "<a>", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'])
def test_what_is_no_model_is_refused(xml):
    with pytest.raises(ValueError, match=r"not XML|document type"):
        Model(xml)


class Deployed:
    """An engine that knows only models and which instance called which."""

    def __init__(self, xml: dict[str, str], callers: dict[str, str] | None = None) -> None:
        self.xml, self.callers, self.read = xml, callers or {}, []

    async def process_definitions(self, **query):
        return [{"id": name} for name in self.xml]

    async def definition_xml(self, definition_id):
        self.read.append(definition_id)
        if definition_id not in self.xml:
            raise EngineError("xml", Answer(Verdict.GONE, "no such definition"))
        return f'{HEAD}<bpmn:process id="p">{self.xml[definition_id]}</bpmn:process></bpmn:definitions>'

    async def process_instances(self, *, subProcessInstance):
        caller = self.callers.get(subProcessInstance)
        return [{"id": f"i-{caller}", "definitionId": caller}] if caller else []


def task(definition: str, instance: str = "i") -> dict[str, str]:
    key = definition.partition(":")[0]
    return {
        "activityId": "work",
        "processDefinitionId": definition,
        "processDefinitionKey": key,
        "processInstanceId": instance,
    }


def test_each_model_is_read_once():
    async def scenario():
        engine = Deployed({"a:1:x": TASK, "b:1:x": ""})
        models = Models(engine)
        assert await models.topics() == await models.topics() == {"a_topic"}
        assert engine.read == ["a:1:x", "b:1:x"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("callers", "caught"),
    [
        ({}, False),
        ({"i": "deaf:1:x"}, False),
        ({"i": "parent:1:x"}, True),
        ({"i": "deaf:1:x", "i-deaf:1:x": "grand:1:x"}, True),
        ({"i": "gone:1:x"}, False),
    ],
)
def test_an_error_is_looked_for_in_the_callers(callers, caught):
    async def scenario():
        xml = {
            "child:1:x": TASK,
            "deaf:1:x": CALL.format("c", "child"),
            "parent:1:x": CALL.format("c", "child") + boundary("c"),
            "grand:1:x": CALL.format("c", "deaf") + boundary("c"),
        }
        assert await Models(Deployed(xml, callers)).catches(task("child:1:x"), "LIMIT") is caught

    asyncio.run(scenario())


def test_a_definition_that_is_gone_catches_nothing():
    async def scenario():
        assert not await Models(Deployed({})).catches(task("gone:1:x"), "LIMIT")

    asyncio.run(scenario())
