"""What deployed models say: the topics they name, and which errors they catch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from carex.camunda.answers import EngineError, Verdict

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from carex.camunda.engine import Engine

BPMN = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"
SCOPES = frozenset({f"{BPMN}{name}" for name in ("subProcess", "transaction", "adHocSubProcess")})
ANY = None
"""What an error event catches that names no code."""


class Model:
    """What one BPMN file says. Raises ValueError if it is none."""

    def __init__(self, xml: str) -> None:
        if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
            raise ValueError("a model has no document type of its own")
        try:
            root = ElementTree.fromstring(xml)  # noqa: S314 - entities, the danger, are refused above
        except ElementTree.ParseError as error:
            raise ValueError(f"this is not XML: {error}") from None
        tree = _Tree(root)
        named = [(tree.activity(each), topic) for each in root.iter() if (topic := _topic(each))]
        self.processes = [str(each.get("id")) for each in root.iter(f"{BPMN}process")]
        self.tasks = {activity.get("id", ""): topic for activity, topic in named if "{" not in topic}
        """The topics of its external tasks by their activities' ids, without those that are expressions."""
        self._caught = {activity.get("id"): tree.caught_from(activity) for activity, _ in named}
        self._properties = {activity.get("id"): _properties(activity) for activity, _ in named}
        self._calls = [
            (each.get("calledElement", ""), tree.caught_from(each)) for each in root.iter(f"{BPMN}callActivity")
        ]

    def properties(self, activity_id: str) -> dict[str, str]:
        """The extension properties of an external task's activity."""
        return self._properties.get(activity_id, {})

    def catches(self, activity_id: str, code: str) -> bool:
        """Return True if an error raised by this external task's activity is caught inside this model."""
        return not self._caught.get(activity_id, frozenset()).isdisjoint({ANY, code})

    def catches_from(self, called: str, code: str) -> bool:
        """Return True if an error that leaves a called process is caught, whichever call activity called it."""
        calls = [caught for element, caught in self._calls if element == called or "{" in element]
        return bool(calls) and not any(caught.isdisjoint({ANY, code}) for caught in calls)


class _Tree:
    """A model's elements with their parents."""

    def __init__(self, root: Element) -> None:
        self._parents = {child: parent for parent in root.iter() for child in parent}
        self._errors = {each.get("id"): each.get("errorCode") for each in root.iter(f"{BPMN}error")}

    def activity(self, element: Element) -> Element:
        """The activity or event that an element with a topic belongs to: itself, or what a message is thrown by."""
        return self._parents[element] if element.tag == f"{BPMN}messageEventDefinition" else element

    def caught_from(self, activity: Element) -> frozenset[str | None]:
        """The codes caught on the activity and in every scope around it."""
        return frozenset(self._around(activity))

    def _around(self, activity: Element) -> Iterator[str | None]:
        inside: Element = activity
        while (scope := self._parents.get(inside)) is not None:
            for each in scope:
                if each.tag == f"{BPMN}boundaryEvent" and each.get("attachedToRef") == inside.get("id"):
                    yield from self._codes(each)
                # An event subprocess does not catch what is raised inside itself.
                if each.tag in SCOPES and each.get("triggeredByEvent") == "true" and each is not inside:
                    for start in each.iterfind(f"{BPMN}startEvent"):
                        yield from self._codes(start)
            inside = scope

    def _codes(self, event: Element) -> Iterator[str | None]:
        for definition in event.iterfind(f"{BPMN}errorEventDefinition"):
            reference = definition.get("errorRef")
            yield ANY if not reference else self._errors.get(reference.rpartition(":")[2], reference)


class Models:
    """The engine's deployed models, each read once (a definition never changes)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._read: dict[str, Model | None] = {}

    async def topics(self) -> set[str]:
        """The topics that the newest version of any deployed process names. Raises EngineError."""
        definitions = await self._engine.process_definitions(latestVersion=True)
        models = [await self._model(each["id"]) for each in definitions]
        return {topic for model in models if model for topic in model.tasks.values()}

    async def properties(self, task: Mapping[str, Any]) -> dict[str, str]:
        """The extension properties of an external task, which the engine tells only when it is fetched.
        Raises EngineError."""
        model = await self._model(task["processDefinitionId"])
        return model.properties(task["activityId"]) if model else {}

    async def catches(self, task: Mapping[str, Any], code: str) -> bool:
        """Return True if an error with this code, raised by this external task, is caught for sure: by a boundary
        event or an event subprocess around its activity, or around a call activity further out. Raises EngineError.

        `task` is an external task as the engine gives it (activityId, processDefinitionId, processInstanceId).
        """
        model = await self._model(task["processDefinitionId"])
        if model is None:
            return False
        if model.catches(task["activityId"], code):
            return True
        return await self._caught_by_callers(task["processInstanceId"], task["processDefinitionKey"], code)

    async def _caught_by_callers(self, instance_id: str, key: str, code: str) -> bool:
        for instance in await self._engine.process_instances(subProcessInstance=instance_id):
            model = await self._model(instance["definitionId"])
            if model is None:
                return False
            caller = (
                instance["definitionKey"] if "definitionKey" in instance else instance["definitionId"].split(":")[0]
            )
            return model.catches_from(key, code) or await self._caught_by_callers(instance["id"], caller, code)
        return False

    async def _model(self, definition_id: str) -> Model | None:
        """The definition's model; None if it is gone, or cannot be read."""
        if definition_id not in self._read:
            try:
                self._read[definition_id] = Model(await self._engine.definition_xml(definition_id))
            except ValueError:
                self._read[definition_id] = None
            except EngineError as error:
                if error.answer.verdict is not Verdict.GONE:
                    raise
                return None
        return self._read[definition_id]


def _topic(element: Element) -> str | None:
    """The topic of an external task, whatever namespace the engine's own attributes have."""
    own = {name.rpartition("}")[2]: value for name, value in element.attrib.items() if name.startswith("{")}
    return own.get("topic") if own.get("type") == "external" else None


def _properties(activity: Element) -> dict[str, str]:
    inside = activity.iterfind(f"{BPMN}extensionElements/{{*}}properties/{{*}}property")
    return {each.get("name", ""): each.get("value", "") for each in inside}
