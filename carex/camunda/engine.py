"""The REST API of a Camunda-7-compatible engine: one method per call, in Camunda's words."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from carex.camunda.answers import EngineError
from carex.camunda.rest import Rest

if TYPE_CHECKING:
    from types import TracebackType

    from carex.settings import CamundaSettings

__all__ = ["Engine", "EngineError"]

FETCH_GRACE = 5.0
"""Seconds that a long poll may take longer than it asked for."""
Items = list[dict[str, Any]]
Variables = Mapping[str, Any]


class Engine:
    """One engine, over one pool of connections: `async with Engine(settings.camunda) as engine: …`.

    Every method raises `EngineError` with the classified answer for anything but success; trouble with the
    connection is an outage, after which a call that changes something may or may not have been done. After a 401
    nothing is sent for 5 s. Names of queries and answers are Camunda's own, as in `processDefinitionKey`; variables
    are typed ones. Constructing it raises ConfigError if the settings do not name an engine.
    """

    def __init__(self, settings: CamundaSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.worker_id = settings.worker_id
        self._rest = Rest(settings, clock=clock)

    @property
    def address(self) -> str:
        """The engine's address without any secret."""
        return self._rest.address

    @property
    def date(self) -> tuple[str, float]:
        """The Date header of the last answer ("" if there was none), and when it came, by our clock."""
        return self._rest.date

    async def __aenter__(self) -> Engine:
        await self._rest.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._rest.close()

    async def version(self) -> str:
        return await self._rest.version()

    async def may(self, permission: str) -> bool:
        """Whether our user has a permission, as READ_INSTANCE, on every process definition. An engine to which nobody
        has to log in knows no user, and refuses the question."""
        query = {"permissionName": permission, "resourceName": "ProcessDefinition", "resourceType": 6}
        return bool((await self._rest.get("authorization", "/authorization/check", query))["authorized"])

    # External tasks

    async def topic_names(self, *, fetchable: bool = True) -> list[str]:
        """The topics that have an open task now; if `fetchable`, one that is not locked and has retries left."""
        query = {"withUnlockedTasks": True, "withRetriesLeft": True} if fetchable else None
        return list(await self._rest.get("topic-names", "/external-task/topic-names", query))

    async def fetch_and_lock(
        self, topics: Sequence[str], *, max_tasks: int, lock_ms: int, wait_ms: int = 0, use_priority: bool = True
    ) -> Items:
        """Lock up to `max_tasks` tasks for the settings' worker id and return them, with their models' extension
        properties. With `wait_ms` the engine holds the call until there is a task. No topics: no tasks, silently."""
        body: dict[str, Any] = {
            "workerId": self.worker_id,
            "maxTasks": max_tasks,
            "usePriority": use_priority,
            "topics": [
                {"topicName": topic, "lockDuration": lock_ms, "includeExtensionProperties": True} for topic in topics
            ],
        }
        if wait_ms:
            body["asyncResponseTimeout"] = wait_ms
        path, limit = "/external-task/fetchAndLock", wait_ms / 1000 + FETCH_GRACE
        return list(await self._rest.post("fetchAndLock", path, body, timeout=limit))

    async def complete(
        self, task_id: str, worker_id: str, variables: Variables | None = None, local_variables: Variables | None = None
    ) -> None:
        body = {"workerId": worker_id, "variables": variables or {}, "localVariables": local_variables or {}}
        await self._rest.post("complete", _task(task_id, "/complete"), body)

    async def failure(
        self,
        task_id: str,
        worker_id: str,
        *,
        message: str,
        details: str = "",
        retries: int,
        retry_timeout_ms: int = 0,
        variables: Variables | None = None,
    ) -> None:
        """Report a failed attempt; `retries` 0 makes an incident. The engine keeps 666 characters of the message and
        all of the details. Until the timeout has passed nobody can fetch the task."""
        body = {
            "workerId": worker_id,
            "errorMessage": message,
            "errorDetails": details,
            "retries": retries,
            "retryTimeout": retry_timeout_ms,
            "variables": variables or {},
        }
        await self._rest.post("failure", _task(task_id, "/failure"), body)

    async def bpmn_error(
        self, task_id: str, worker_id: str, code: str, message: str = "", variables: Variables | None = None
    ) -> None:
        """Raise a BPMN error. A code that nothing in the model catches ends the instance as completed, silently."""
        body = {
            "workerId": worker_id,
            "errorCode": code,
            "errorMessage": message or None,  # an empty one is refused
            "variables": variables or {},
        }
        await self._rest.post("bpmnError", _task(task_id, "/bpmnError"), body)

    async def extend_lock(self, task_id: str, worker_id: str, duration_ms: int) -> None:
        """Let the lock run out so long from now, be that later or sooner. A lock that has run out is lost."""
        body = {"workerId": worker_id, "newDuration": duration_ms}
        await self._rest.post("extendLock", _task(task_id, "/extendLock"), body)

    async def lock(self, task_id: str, worker_id: str, duration_ms: int) -> None:
        """Lock one task that nobody else holds."""
        await self._rest.post("lock", _task(task_id, "/lock"), {"workerId": worker_id, "lockDuration": duration_ms})

    async def unlock(self, task_id: str) -> None:
        """Take the lock from whoever holds it; nobody is asked."""
        await self._rest.post("unlock", _task(task_id, "/unlock"))

    async def set_retries(self, task_ids: Sequence[str], retries: int) -> None:
        """Set how many attempts are left, of all tasks or of none; more than 0 resolves an incident."""
        body = {"externalTaskIds": list(task_ids), "retries": retries}
        await self._rest.put("retries", "/external-task/retries", body)

    async def external_task(self, task_id: str) -> dict[str, Any]:
        return dict(await self._rest.get("external-task", _task(task_id)))

    async def external_tasks(
        self, *, first_result: int | None = None, max_results: int | None = None, **query: Any
    ) -> Items:
        """Open external tasks, as in `external_tasks(workerId="w", locked=True)`."""
        return await self._query("external-task", query, first_result, max_results)

    async def count_external_tasks(self, **query: Any) -> int:
        return await self._count("external-task", query)

    async def error_details(self, task_id: str) -> str:
        """The details of the last failure, "" if there are none."""
        content = await self._rest.send("GET", "errorDetails", _task(task_id, "/errorDetails"))
        return content.decode("utf-8", "replace")

    # Models

    async def deploy(self, files: Mapping[str, bytes], name: str, *, tenant_id: str | None = None) -> dict[str, Any]:
        """Deploy files, by name, together. What the engine has already is not deployed again."""
        fields = {
            "deployment-name": name,
            "deployment-source": "carex",
            "enable-duplicate-filtering": "true",
            "deploy-changed-only": "true",
            **({"tenant-id": tenant_id} if tenant_id is not None else {}),
        }
        return dict(await self._rest.upload("deploy", "/deployment/create", fields, files))

    async def process_definitions(self, **query: Any) -> Items:
        """Deployed processes, as in `process_definitions(latestVersion=True, key="k")`."""
        return list(await self._rest.get("process-definition", "/process-definition", query))

    async def definition_xml(self, definition_id: str) -> str:
        found = await self._rest.get("xml", f"/process-definition/{quote(definition_id, safe='')}/xml")
        return str(found["bpmn20Xml"])

    async def statistics(self) -> Items:
        """For every deployed process its running instances, failed jobs, and open incidents by type."""
        query = {"failedJobs": True, "incidents": True}
        return list(await self._rest.get("statistics", "/process-definition/statistics", query))

    # Instances

    async def start(
        self,
        key: str,
        variables: Variables | None = None,
        business_key: str | None = None,
        tenant_id: str | None = None,
    ) -> dict[str, Any]:
        """Start an instance of a process's newest version and return it."""
        tenant = f"/tenant-id/{quote(tenant_id, safe='')}" if tenant_id is not None else ""
        body = {"variables": variables or {}, "businessKey": business_key}
        path = f"/process-definition/key/{quote(key, safe='')}{tenant}/start"
        return dict(await self._rest.post("start", path, body))

    async def process_instances(
        self, *, first_result: int | None = None, max_results: int | None = None, **query: Any
    ) -> Items:
        """Running instances, as in `process_instances(processDefinitionKey="k")`."""
        return await self._query("process-instance", query, first_result, max_results)

    async def incidents(self, **query: Any) -> Items:
        """Open incidents; the `configuration` of a `failedExternalTask` is the external task's id."""
        return list(await self._rest.get("incident", "/incident", query))

    async def history_instances(
        self, *, first_result: int | None = None, max_results: int | None = None, **query: Any
    ) -> Items:
        """Running and ended instances with state, start and end, as far back as the engine keeps its history."""
        return await self._query("history/process-instance", query, first_result, max_results)

    async def history_count(self, **query: Any) -> int:
        return await self._count("history/process-instance", query)

    async def _query(self, what: str, query: Mapping[str, Any], first: int | None, limit: int | None) -> Items:
        return list(await self._rest.post(what, f"/{what}", query, {"firstResult": first, "maxResults": limit}))

    async def _count(self, what: str, query: Mapping[str, Any]) -> int:
        return int((await self._rest.post(f"{what}/count", f"/{what}/count", query))["count"])


def _task(task_id: str, verb: str = "") -> str:
    return f"/external-task/{quote(task_id, safe='')}{verb}"
