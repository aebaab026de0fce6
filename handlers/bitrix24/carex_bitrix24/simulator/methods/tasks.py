"""`tasks.task.*` as the old version of REST has them: upper-case names go in, camel case and strings come out."""

from typing import Any

from carex_bitrix24.simulator import tasks
from carex_bitrix24.simulator.call import Call, Method, Refusal, Reply, whole
from carex_bitrix24.simulator.events import task_event
from carex_bitrix24.simulator.phpform import as_list, as_map
from carex_bitrix24.simulator.selection import matches, ordered, page
from carex_bitrix24.simulator.tasks import Task

_NAMES = {
    "TITLE": "title",
    "DESCRIPTION": "description",
    "RESPONSIBLE_ID": "responsibleId",
    "CREATED_BY": "creatorId",
    "DEADLINE": "deadline",
    "PRIORITY": "priority",
    "STATUS": "status",
    "PARENT_ID": "parentId",
    "GROUP_ID": "groupId",
    "UF_CRM_TASK": "crmItemIds",
}
_NUMBERS = {"responsibleId", "creatorId", "priority", "status", "parentId", "groupId"}
_SORTED = {"ID", "TITLE", "CREATED_DATE", "CHANGED_DATE", "CLOSED_DATE", "DEADLINE", "REAL_STATUS", "PRIORITY"}
_ALWAYS = ("group", "creator", "responsible")


def add(call: Call) -> Reply:
    """tasks.task.add: called twice it makes two; the old version knows no Idempotency-Key."""
    values = _typed(call, _fields(call))
    if not values.get("title"):
        raise _wrong("Task title not specified")
    if not values.get("responsibleId"):
        raise _wrong("Responsible person not specified")
    portal = call.portal
    task = portal.tasks.put(values, portal.user_id, portal.iso())
    portal.record_created("task", task.id, call)
    portal.tell(task_event(task.id, "ADD", portal.now()))
    return Reply({"task": task.old_view()})


def update(call: Call) -> Reply:
    """tasks.task.update: the whole task comes back."""
    task = _found(call)
    change(call, task, _typed(call, _fields(call)))
    return Reply({"task": task.old_view()})


def complete(call: Call) -> Reply:
    """tasks.task.complete: done; what a second completion does is not known, here it changes nothing."""
    task = _found(call)
    change(call, task, {"status": tasks.DONE})
    return Reply({"task": task.old_view()})


def get(call: Call) -> Reply:
    """tasks.task.get: a task that is not there is an empty list, not an error."""
    number = _number(call)
    task = call.portal.tasks.find(number)
    return Reply({"task": _selected(task.old_view(), call.given("select"))} if task else [])


def listing(call: Call) -> Reply:
    """tasks.task.list: sorted and filtered by upper-case names, shown under others; the newest first."""
    order = {name.upper(): way for name, way in as_map(call.given("order")).items()} or {"ID": "desc"}
    if not set(order) <= _SORTED:
        raise Refusal("0", "Invalid sorting key (internal error)")
    rows = {task.id: _row(task) for task in call.portal.tasks.all()}
    found = [row for row in rows.values() if matches(row, call.given("filter"))]
    reply = page(ordered(found, order, "ID"), call.given("start"))
    views = [call.portal.tasks.find(row["ID"]) for row in reply.result]
    shown = [_selected(task.old_view(), call.given("select")) for task in views if task]
    return Reply({"tasks": shown}, reply.total, reply.next)


def change(call: Call, task: Task, values: dict[str, Any]) -> None:
    """Set values of a task, stamp it, write the ledger, tell subscribers."""
    portal, now = call.portal, call.portal.iso()
    before = dict(task.values)
    task.values.update(values)
    if task.values == before:
        return
    done = task.values["status"] == tasks.DONE
    if done is not (before["status"] == tasks.DONE):
        task.values.update(closed=now if done else None, closedById=portal.user_id if done else None)
    task.values.update(changed=now, changedById=portal.user_id)
    for name, value in values.items():
        portal.record(TASKS, task.id, name, before[name], value, call.method, call.request_no)
    portal.tell(task_event(task.id, "UPDATE", portal.now()))


# In the ledger a task is an item of a type that CRM does not have.
TASKS = -1


def _fields(call: Call) -> dict[str, Any]:
    given = as_map(call.given("fields"))
    if not given:
        raise Refusal("100", "Could not find value for parameter {fields} (internal error)")
    return given


def _typed(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in given.items():
        new = _NAMES.get(name.upper())
        if new == "crmItemIds":
            values[new] = [str(item) for item in as_list(value)]
        elif new in _NUMBERS:
            values[new] = whole(value) or 0
        elif new:
            values[new] = str(value or "") if new != "deadline" else value or None
    if "responsibleId" in values and values["responsibleId"] and values["responsibleId"] not in call.portal.employees:
        raise _wrong('The user specified in the "Responsible" field was not found')
    if "status" in values and values["status"] not in tasks.STATUSES:
        raise _wrong("Invalid status")
    return values


def _wrong(text: str) -> Refusal:
    # The portal shows these texts in a browser too, and leaves the line break in.
    return Refusal("ERROR_CORE", text + "<br>")


def _number(call: Call) -> int:
    given = call.given("taskId")
    if given is None:
        text = "CTaskItem All parameters in the constructor must have real class type (internal error)"
        raise Refusal("100", text)
    number = whole(given)
    if number is None or number <= 0:
        raise Refusal("0", "wrong task id")
    return number


def _found(call: Call) -> Task:
    task = call.portal.tasks.find(_number(call))
    if task is None:
        raise Refusal("0", "Action on the task is not allowed")
    return task


def _row(task: Task) -> dict[str, Any]:
    row = {old: task.values[new] for old, new in _NAMES.items()}
    dates = {"CREATED_DATE": task.values["created"], "CHANGED_DATE": task.values["changed"]}
    closed = {"CLOSED_DATE": task.values["closed"] or ""}
    return {"ID": task.id, **row, "REAL_STATUS": row["STATUS"], **dates, **closed}


def _selected(view: dict[str, Any], select: Any) -> dict[str, Any]:
    names = {_camel(str(name)) for name in as_list(select)}
    if not names or "*" in names:
        return view
    return {name: value for name, value in view.items() if name in names or name == "id" or name in _ALWAYS}


def _camel(name: str) -> str:
    head, *tail = name.lower().split("_")
    return head + "".join(part.capitalize() for part in tail)


METHODS = {
    "tasks.task.add": Method(add, frozenset({"task"})),
    "tasks.task.update": Method(update, frozenset({"task"})),
    "tasks.task.complete": Method(complete, frozenset({"task"})),
    "tasks.task.get": Method(get, frozenset({"task"})),
    "tasks.task.list": Method(listing, frozenset({"task"})),
}
