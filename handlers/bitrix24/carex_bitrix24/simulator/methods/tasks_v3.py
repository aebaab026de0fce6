"""`tasks.task.*` of REST 3: numbers are numbers, mistakes are named field by field, and calls may carry a key."""

from typing import Any

from carex_bitrix24.simulator import tasks
from carex_bitrix24.simulator.call import Call, Method, Refusal, Reply
from carex_bitrix24.simulator.events import task_event
from carex_bitrix24.simulator.methods.tasks import change
from carex_bitrix24.simulator.phpform import as_list
from carex_bitrix24.simulator.selection import moment
from carex_bitrix24.simulator.tasks import Task

_TYPES = {
    "title": "string",
    "description": "string",
    "creatorId": "int",
    "responsibleId": "int",
    "parentId": "int",
    "groupId": "int",
    "deadline": "DateTime",
    "priority": "string",
    "status": "string",
    "crmItemIds": "array",
}
_PYTHON = {"int": int, "string": str, "array": list, "DateTime": str}
_PRIORITIES = {"low": 0, "average": 1, "high": 2}
_STATUSES = {word: number for number, word in tasks.STATUSES.items()}


def add(call: Call) -> Reply:
    """tasks.task.add: the whole task comes back."""
    given = _fields(call)
    missing = [name for name in ("title", "creatorId", "responsibleId") if given.get(name) in (None, "")]
    if missing:
        raise invalid({name: f"Required field `{name}` is not specified" for name in missing})
    portal = call.portal
    task = portal.tasks.put(_typed(call, given), portal.user_id, portal.iso())
    portal.record_created("task", task.id, call)
    portal.tell(task_event(task.id, "ADD", portal.now()))
    return Reply({"item": task.new_view()})


def update(call: Call) -> Reply:
    """tasks.task.update: true comes back. Who created a task stays who created it."""
    task, given = _found(call), _fields(call)
    if task is None:
        raise Refusal("ACCESSDENIED", "Access denied", 403)
    if "creatorId" in given:
        text = "In DTO `TaskDto`, the field `creatorId` requires the presence of the `Editable` attribute"
        raise invalid({"creatorId": text})
    change(call, task, _typed(call, given))
    return Reply({"result": True})


def get(call: Call) -> Reply:
    """tasks.task.get: with `select`, only these fields; names that a task has not are passed over."""
    task = _found(call)
    if task is None:
        raise Refusal("ENTITYNOTFOUND", f"Record with ID = `{call.params['id']}` not found")
    names = [str(name) for name in as_list(call.params.get("select"))]
    view = task.new_view()
    return Reply({"item": {name: value for name, value in view.items() if not names or name in {*names, "id"}}})


def invalid(problems: dict[str, str]) -> Refusal:
    """Return the refusal that names each wrong field."""
    return Refusal("VALIDATION_REQUESTVALIDATION", "Error validating request object", validation=problems)


def _found(call: Call) -> Task | None:
    number = call.params.get("id")
    if number is None:
        raise invalid({"id": "Required field `id` is not specified"})
    if not isinstance(number, int) or isinstance(number, bool):
        raise invalid({"id": "Field `id` requires data type `int` for this request"})
    return call.portal.tasks.find(number)


def _fields(call: Call) -> dict[str, Any]:
    given = call.params.get("fields")
    if not isinstance(given, dict) or not given:
        raise invalid({"fields": "Required field `fields` is not specified"})
    return given


def _typed(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in given.items() if name in _TYPES}
    wrong = [name for name, value in values.items() if not _fits(name, value)]
    if wrong:
        raise invalid({name: f"Field `{name}` requires data type `{_TYPES[name]}` for this request" for name in wrong})
    if values.get("responsibleId", call.portal.user_id) not in call.portal.employees:
        raise invalid({"responsibleId": 'User specified in the "Executor" field not found'})
    for name, words in (("priority", _PRIORITIES), ("status", _STATUSES)):
        if name in values:
            values[name] = words[values[name]]
    return values


def _fits(name: str, value: Any) -> bool:
    if not isinstance(value, _PYTHON[_TYPES[name]]) or isinstance(value, bool):
        return value is None and name in {"deadline", "parentId"}
    if name == "deadline":
        return moment(str(value)) is not None
    words = {"priority": _PRIORITIES, "status": _STATUSES}.get(name)
    return words is None or value in words


METHODS = {
    "tasks.task.add": Method(add, frozenset({"tasks"}), writes=True),
    "tasks.task.update": Method(update, frozenset({"tasks"}), writes=True),
    "tasks.task.get": Method(get, frozenset({"tasks"})),
}
