"""The engine: which one it is, whether we may do what the bridge has to, and what nobody takes care of."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from carex.camunda.variables import moment
from carex.cli import Root
from carex.cli.doctor.line import Line, note, ok, warning, wrong
from carex.errors import CarexError

if TYPE_CHECKING:
    from carex.camunda.engine import Engine
    from carex.settings import Settings

HELD = 1.0
"""Seconds for which the engine is asked to hold a fetch."""
SKEW = 30.0
"""Seconds by which two clocks may differ before locks look strange."""
UNFETCHED = 60.0
"""Seconds after which a task that could be fetched shows that no bridge runs."""
MOST = 200
"""So many external tasks are looked at one by one, the oldest."""
RIGHTS = ("READ_INSTANCE", "UPDATE_INSTANCE")
Tasks = list[dict[str, Any]]


def look(root: Root) -> Iterator[Line]:
    if not root.settings.camunda.base_url:
        yield note("not used: CAMUNDA_BASE_URL is not set")
        return
    yield from asyncio.run(_gathered(root))


async def _gathered(root: Root) -> list[Line]:
    from carex.camunda.engine import Engine

    lines: list[Line] = []
    # A worker id of its own: an engine may end the long poll that a bridge holds when the same one polls again.
    async with Engine(root.settings.camunda.model_copy(update={"worker_id": "carex-doctor"})) as engine:
        try:
            for part in (_who, _topics, _unfetched, _locks, _rights):
                lines += [line async for line in part(engine, root)]
        except CarexError as error:
            lines.append(wrong(error.message, error.hint or "See the engine's log."))
    return lines


async def _who(engine: Engine, root: Root) -> AsyncIterator[Line]:
    version = await engine.version()
    yield ok(f"{_flavour(version)} {version} at {engine.address}")
    said, _ = engine.date
    skew = time.time() - parsedate_to_datetime(said).timestamp() if said else 0.0
    if abs(skew) > SKEW:
        yield warning(
            f"its clock is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} ours",
            "Set both by NTP: timedatectl set-ntp true.",
        )
    if engine.address.startswith("http://") and not _is_local(engine.address) and _has_login(root.settings):
        yield warning("the password travels unencrypted", "Use https in CAMUNDA_BASE_URL.")
    started = time.monotonic()
    await engine.fetch_and_lock(["carex-doctor"], max_tasks=1, lock_ms=1000, wait_ms=int(HELD * 1000))
    if time.monotonic() - started < HELD / 2:
        yield warning(
            "it does not hold fetches (long polls): tasks wait for the next fetch, and the engine works for nothing",
            "See whether a proxy in between, or an old engine, answers at once.",
        )
    else:
        yield ok("it holds fetches (long polls)")


async def _topics(engine: Engine, root: Root) -> AsyncIterator[Line]:
    from carex.camunda.models import Models
    from carex.camunda.routes import DEFAULT, route_of

    rabbitmq, handlers = root.settings.rabbitmq, root.registry.handlers
    topics = sorted({*await Models(engine).topics(), *await engine.topic_names(fetchable=False)})
    if not topics:
        yield note("no deployed process has an external task that we may see")
        return
    queues = {topic: route_of(topic, {}, rabbitmq) for topic in topics}
    yield ok(f"topics: {', '.join(f'{topic} → {route.queue}' for topic, route in queues.items())}")
    stray = [topic for topic, route in queues.items() if route.system == DEFAULT]
    if stray and f"{DEFAULT}.queue" not in rabbitmq.consume:
        yield warning(f"topics that no route knows go to {DEFAULT}.queue: {', '.join(stray)}", "See rabbitmq.routes.")
    orphans = [topic for topic, route in queues.items() if route.queue in rabbitmq.consume and topic not in handlers]
    if orphans:
        yield wrong(
            f"topics that come here, and no plugin has a handler for them: {', '.join(orphans)}",
            "Install the plugin that has it, or route them elsewhere (rabbitmq.routes): else they become incidents.",
        )


async def _unfetched(engine: Engine, root: Root) -> AsyncIterator[Line]:
    oldest = [{"sortBy": "createTime", "sortOrder": "asc"}]
    query = {"notLocked": True, "withRetriesLeft": True, "active": True}
    found = await engine.external_tasks(max_results=MOST, sorting=oldest, **query)
    late = [each for each in found if (age := _age(each)) is not None and age > UNFETCHED]
    if late:
        topics = Counter(each["topicName"] for each in late)
        yield wrong(
            f"nobody fetches: {', '.join(f'{number} of {topic}' for topic, number in topics.items())} "
            f"could be, the oldest since {(_age(late[0]) or 0) / 60:.0f} minutes",
            "carex camunda bridge",
        )
    failed = await engine.count_external_tasks(noRetriesLeft=True)
    if failed:
        yield warning(
            f"{failed} external tasks have no retries left (incidents)",
            "carex camunda tasks --failed, then carex camunda retries TASK_ID --set 1",
        )


async def _locks(engine: Engine, root: Root) -> AsyncIterator[Line]:
    """A lock that ends later than anybody's working lock was set by hand, or by a worker with other ideas."""
    settings = root.settings.camunda
    last = [{"sortBy": "lockExpirationTime", "sortOrder": "desc"}]
    held = await engine.external_tasks(max_results=MOST, sorting=last, locked=True)
    longest = 2 * settings.lock_duration_ms / 1000
    forgotten = [each for each in held if moment(each["lockExpirationTime"]) - time.time() > longest]
    for each in forgotten[:10]:
        hours = (moment(each["lockExpirationTime"]) - time.time()) / 3600
        yield warning(
            f"{each['id']} ({each['topicName']}) is locked by {each['workerId']} for another {hours:.1f} h: forgotten?",
            f"If nobody works on it: carex camunda unlock {each['id']}",
        )
    if len(forgotten) > 10:
        yield warning(f"and {len(forgotten) - 10} more such locks", "carex camunda tasks --locked")
    overdue = [
        each for each in held if each["workerId"] == settings.worker_id and (_age(each) or 0) > settings.max_work
    ]
    if overdue:
        yield warning(
            f"{len(overdue)} tasks are locked for us and older than camunda.max_work: {overdue[0]['id']} and others",
            "See who works on them: carex camunda tasks --locked; then answer, or carex camunda unlock TASK_ID",
        )
    others = Counter(each["workerId"] for each in held if each["workerId"] != settings.worker_id)
    if others:
        yield note(f"other workers hold tasks: {', '.join(f'{who} {number}' for who, number in others.items())}")


async def _rights(engine: Engine, root: Root) -> AsyncIterator[Line]:
    """Who lacks a right is not refused: the engine shows less, down to nothing."""
    if not _has_login(root.settings):
        yield note("no user is set: the engine takes us as it takes everybody")
        return
    lacking = [right for right in RIGHTS if not await engine.may(right)]
    if not lacking:
        yield ok("the user may see and change the tasks of every process")
        return
    blind = not await engine.process_definitions(maxResults=1)
    text = f"the user lacks {' and '.join(lacking)} on all process definitions: the engine shows no tasks of theirs"
    fix = "As the engine's administrator give the user READ, READ_INSTANCE and UPDATE_INSTANCE on Process Definition *."
    yield wrong(text, fix) if blind else warning(text, f"{fix} Leave it, if it is meant for certain processes only.")


def _flavour(version: str) -> str:
    """The REST API does not say its name; the forks number their versions in their own ways."""
    major = version.partition(".")[0]
    return {"7": "Camunda 7", "1": "Operaton", "2": "CIB seven or Operaton"}.get(major, "an engine of version")


def _has_login(settings: Settings) -> bool:
    camunda = settings.camunda
    return bool(camunda.auth_username or camunda.auth_token or "@" in (camunda.base_url or ""))


def _is_local(address: str) -> bool:
    return address.startswith(("http://localhost", "http://127.", "http://[::1]"))


def _age(task: Mapping[str, Any]) -> float | None:
    """Seconds since it was created; older engines do not say."""
    created = task.get("createTime")
    return time.time() - moment(created) if created else None
