"""What the Redis queue does when the server, or the way to it, is not as it should be."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from loguru import logger

from carex.errors import ConfigError, Unreachable
from carex.queue import Filter
from carex.queue.redis import PREFIX, RedisQueue
from carex.queue.redis_line import Bell
from carex.task import Done, Fail, Retry, Task

if TYPE_CHECKING:
    from conftest import RedisServer

    StartRedis = Callable[..., RedisServer]

WITHIN = 20.0
"""Seconds in which a queue has to recover."""


@asynccontextmanager
async def opened(url: str, **more: Any) -> AsyncIterator[RedisQueue]:
    queue = RedisQueue(url, **more)
    try:
        yield queue
    finally:
        await queue.close()


async def patiently(act: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """As a worker does: try on while the storage does not answer."""
    deadline = time.monotonic() + WITHIN
    while True:
        try:
            return await act()
        except Unreachable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


@pytest.fixture
def redis(shared_redis: RedisServer) -> RedisServer:
    shared_redis.ask("FLUSHALL")
    return shared_redis


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--appendonly", "no"], "CONFIG SET appendonly yes"),
        (["--maxmemory-policy", "allkeys-lru"], "CONFIG SET maxmemory-policy noeviction"),
        (["--requirepass", "s3cret"], "redis://USER:PASSWORD@HOST:PORT/DB"),
    ],
)
def test_an_unfit_server_is_refused_with_what_to_do(start_redis: StartRedis, options: list[str], says: str) -> None:
    server = start_redis(*options)

    async def scenario() -> None:
        async with opened(server.url) as queue:
            with pytest.raises(ConfigError, match=says):
                await queue.put([Task("deal")])
            with pytest.raises(ConfigError, match=says):
                _ = queue.durability

    asyncio.run(scenario())


def test_a_wrong_password_is_a_mistake_in_the_settings_and_is_not_shown(start_redis: StartRedis) -> None:
    server = start_redis("--requirepass", "s3cret")

    async def scenario() -> None:
        async with opened(server.url.replace("//", "//:wr0ng@")) as queue:
            with pytest.raises(ConfigError) as refusal:
                await queue.put([Task("deal")])
            assert "wr0ng" not in str(refusal.value)

    asyncio.run(scenario())


def test_a_volatile_server_is_accepted_when_asked_for(start_redis: StartRedis) -> None:
    server = start_redis("--appendonly", "no")

    async def scenario() -> None:
        async with opened(server.url, allow_volatile=True) as queue:
            assert "everything since its last snapshot" in queue.durability
            assert (await queue.put([Task("deal")]))[0].new

    asyncio.run(scenario())


def test_a_user_who_may_not_read_the_configuration_can_work(redis: RedisServer) -> None:
    redis.ask("ACL", "SETUSER", "worker", "reset", "on", ">pw", "~carex:*", "+@all", "-@admin", "-@dangerous", "+info")

    async def scenario() -> None:
        async with opened(redis.url.replace("//", "//worker:pw@")) as queue:
            assert "appendfsync cannot be read" in queue.durability
            await queue.put([Task("deal")])
            assert len(await queue.claim(["deal"], 1)) == 1

    asyncio.run(scenario())
    redis.ask("ACL", "DELUSER", "worker")


def test_the_store_of_a_newer_carex_is_refused(redis: RedisServer) -> None:
    redis.ask("SET", f"{PREFIX}schema", "99")

    async def scenario() -> None:
        async with opened(redis.url) as queue:
            with pytest.raises(ConfigError, match="newer Carex"):
                await queue.put([Task("deal")])

    asyncio.run(scenario())


def test_the_store_of_an_earlier_carex_is_taken_over(redis: RedisServer) -> None:
    redis.ask("SET", f"{PREFIX}schema", "1")

    async def scenario() -> None:
        async with opened(redis.url) as queue:
            await queue.put([Task("deal", reply={"to": "engine"})])
            (delivery,) = await queue.claim(["deal"], 1)
            assert delivery.task.reply == {"to": "engine"}

    asyncio.run(scenario())


# ------------------------------------------------------------------ trouble, and the end of it


def test_a_killed_server_loses_nothing_and_is_consumed_again(start_redis: StartRedis) -> None:
    server = start_redis("--appendfsync", "always")

    async def scenario() -> None:
        async with opened(server.url) as queue:
            await queue.put([Task("deal", {"n": 1})])
            await queue.claim(["nothing"], 1)
            server.kill()
            with pytest.raises(Unreachable):
                await queue.put([Task("deal", {"n": 2})])
            server.start()
            (delivery,) = await patiently(lambda: queue.claim(["deal"], 1, wait=5))
            assert delivery.task.payload == {"n": 1}
            assert await queue.settle([(delivery, Done())]) == []

    asyncio.run(scenario())


def test_a_restart_while_nobody_calls_is_not_noticed(start_redis: StartRedis) -> None:
    server = start_redis("--appendfsync", "always")

    async def scenario() -> None:
        async with opened(server.url) as queue:
            await queue.put([Task("deal")])
            server.kill()
            server.start()
            assert len(await queue.claim(["deal"], 1)) == 1

    asyncio.run(scenario())


def test_a_bell_that_rang_while_nobody_waited_is_heard_by_the_next(redis: RedisServer) -> None:
    async def scenario() -> None:
        bell = Bell(redis.url, "wake", block=1.0)
        await bell.woken(timeout=0.01)  # it listens on
        redis.ask("RPUSH", "wake", "1")
        while redis.ask("EXISTS", "wake"):  # noqa: ASYNC110 - another program's state
            await asyncio.sleep(0.001)
        await asyncio.wait_for(bell.woken(timeout=WITHIN), WITHIN / 2)
        bell.close()

    asyncio.run(scenario())


def test_a_claim_that_waits_while_its_connections_die_is_still_woken(redis: RedisServer) -> None:
    async def scenario() -> None:
        async with opened(redis.url) as queue, opened(redis.url) as other:
            waiting = asyncio.create_task(patiently(lambda: queue.claim(["deal"], 1, wait=WITHIN)))
            await other.claim(["nothing"], 1)
            redis.ask("CLIENT", "KILL", "TYPE", "normal")
            await patiently(lambda: other.put([Task("deal")]))
            assert len(await waiting) == 1

    asyncio.run(scenario())


def test_the_scripts_are_brought_again_when_the_server_forgot_them(redis: RedisServer) -> None:
    async def scenario() -> None:
        async with opened(redis.url) as queue:
            await queue.put([Task("deal")])
            redis.ask("SCRIPT", "FLUSH")
            assert len(await queue.claim(["deal"], 1)) == 1

    asyncio.run(scenario())


def test_an_emptied_server_is_said_once_and_work_goes_on(redis: RedisServer) -> None:
    said: list[str] = []
    sink = logger.add(said.append, level="ERROR", format="{message}")

    async def scenario() -> None:
        async with opened(redis.url) as queue:
            await queue.put([Task("deal", {"n": 1})])
            (lost,) = await queue.claim(["deal"], 1)
            redis.ask("FLUSHALL")
            assert await queue.settle([(lost, Done())]) == [lost]
            await queue.put([Task("deal", {"n": 2})])
            (delivery,) = await queue.claim(["deal"], 1)
            assert delivery.task.payload == {"n": 2}

    asyncio.run(scenario())
    logger.remove(sink)
    assert [line for line in said if "was emptied" in line] == said
    assert len(said) == 1


def test_a_full_server_refuses_tasks_but_lets_workers_drain_it(redis: RedisServer) -> None:
    async def scenario() -> None:
        async with opened(redis.url) as queue:
            await queue.put([Task("deal") for _ in range(3)])
            redis.ask("CONFIG", "SET", "maxmemory", "1mb")
            with pytest.raises(Unreachable, match="out of memory"):
                await queue.put([])
            good, bad, again = await queue.claim(["deal"], 3)
            assert await queue.extend([good]) == []
            assert await queue.settle([(good, Done()), (bad, Fail("x")), (again, Retry("y"))], {"n": 1}) == []
            assert await queue.delete(Filter()) == 3

    try:
        asyncio.run(scenario())
    finally:
        redis.ask("CONFIG", "SET", "maxmemory", "0")


def test_a_replica_is_unreachable_until_it_is_the_master_again(redis: RedisServer) -> None:
    async def scenario() -> None:
        async with opened(redis.url) as queue:
            await queue.put([Task("deal")])
            redis.ask("REPLICAOF", "127.0.0.1", "1")
            with pytest.raises(Unreachable):
                await queue.put([Task("deal")])
            redis.ask("REPLICAOF", "NO", "ONE")
            assert len(await queue.claim(["deal"], 1)) == 1

    try:
        asyncio.run(scenario())
    finally:
        redis.ask("REPLICAOF", "NO", "ONE")


def test_tasks_of_a_claim_that_was_never_answered_come_back_at_once_and_untouched(redis: RedisServer) -> None:
    async def scenario() -> None:
        async with answers_can_be_cut(redis.port) as (port, cut), opened(f"redis://127.0.0.1:{port}/0") as queue:
            await queue.put([Task("deal")])
            cut.set()
            with pytest.raises(Unreachable):
                await queue.claim(["deal"], 1)
            cut.clear()
            (delivery,) = await queue.claim(["deal"], 1)
            assert (delivery.task.attempt, delivery.crashes) == (1, 0)

    asyncio.run(scenario())


@asynccontextmanager
async def answers_can_be_cut(port: int) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A way to the server on which calls arrive, but with the event set the line goes dead before the answer."""
    cut = asyncio.Event()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool) -> None:
        while (data := await reader.read(65536)) and not (answers and cut.is_set()):
            writer.write(data)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, to_server, False), carry(from_server, writer, True), return_exceptions=True)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], cut
    server.close()


# ------------------------------------------------------------------ many callers, many machines


def test_any_event_loop_may_call_while_another_waits(redis: RedisServer) -> None:
    async def scenario() -> None:
        async with opened(redis.url) as queue:

            async def elsewhere(tasks: list[Task]) -> None:
                await queue.put(tasks)

            waiting = asyncio.create_task(queue.claim(["deal"], 10, wait=WITHIN))
            thread = threading.Thread(target=lambda: asyncio.run(elsewhere([Task("deal")])))
            thread.start()
            held = await waiting
            await asyncio.to_thread(lambda: asyncio.run(queue.extend(held)))
            assert await asyncio.to_thread(lambda: asyncio.run(queue.settle([(held[0], Done())]))) == []
            await asyncio.to_thread(thread.join)

    asyncio.run(scenario())


def test_a_put_wakes_who_wants_it_and_lets_others_sleep(redis: RedisServer) -> None:
    async def scenario() -> None:
        async with opened(redis.url) as one, opened(redis.url) as two, opened(redis.url) as third:
            unwanted = asyncio.create_task(one.claim(["a"], 1, wait=0.9))
            wanted = asyncio.create_task(two.claim(["b*"], 1, wait=WITHIN))
            while redis.ask("ZCARD", f"{PREFIX}sleepers") != 2:  # noqa: ASYNC110 - another program's state
                await asyncio.sleep(0.001)
            put_at = time.monotonic()
            await third.put([Task("b1")])
            assert len(await wanted) == 1
            assert time.monotonic() - put_at < 0.5  # well below the poll
            assert await unwanted == []

    asyncio.run(scenario())


def test_one_clock_holds_for_all_machines_the_servers(redis: RedisServer) -> None:
    async def scenario() -> None:
        async with opened(redis.url, lease=0.2) as frozen, opened(redis.url, lease=0.2) as other:
            await frozen.put([Task("deal")])
            (late,) = await frozen.claim(["deal"], 1)
            (again,) = await other.claim(["deal"], 1, wait=WITHIN)
            assert (again.task.attempt, again.crashes) == (2, 1)
            assert await frozen.settle([(late, Done())]) == [late]
            assert abs(again.claimed - time.time()) < WITHIN

    asyncio.run(scenario())


def test_holders_are_named_while_they_live_and_forgotten_when_silent_for_a_lease(redis: RedisServer) -> None:
    now = [1_800_000_000.0]

    async def scenario() -> None:
        async with opened(redis.url, clock=lambda: now[0]) as silent, opened(redis.url, clock=lambda: now[0]) as other:
            await silent.put([Task("deal")])
            (delivery,) = await silent.claim(["deal"], 1)
            (holder,) = (await other.counts()).holders
            assert (holder.id, holder.running, holder.started, holder.alive) == (delivery.holder, 1, now[0], True)
            now[0] += 31
            assert [each.alive for each in (await other.counts()).holders] == [False]
            await other.claim(["nothing"], 1)
            assert delivery.holder not in [each.id for each in (await other.counts()).holders]

    asyncio.run(scenario())


def test_nothing_is_left_behind_when_all_is_done_and_pruned(redis: RedisServer) -> None:
    now = [1_800_000_000.0]

    async def scenario() -> None:
        async with opened(redis.url, clock=lambda: now[0]) as queue:
            await queue.put([Task("deal", {"n": n}, key=f"k{n}", window=60.0) for n in range(1500)])
            while held := await queue.claim(["*"], 500):
                await queue.settle([(each, Done()) for each in held], {"attempts:deal:done": len(held)})
            now[0] += 100
            assert [await queue.prune(50) for _ in range(3)] == [1000, 500, 0]

    asyncio.run(scenario())
    keys = redis.ask("KEYS", "*")
    assert sorted(keys) == [PREFIX + name for name in ("counters", "schema", "serial")]  # type: ignore[call-overload]


def test_a_task_that_is_retried_by_hand_holds_its_key_again(redis: RedisServer) -> None:
    async def scenario() -> None:
        async with opened(redis.url) as queue:
            for n in range(2):  # the key is free as soon as the first one has failed
                await queue.put([Task("deal", {"n": n}, key="k")])
                (delivery,) = await queue.claim(["deal"], 1)
                await queue.settle([(delivery, Fail("x") if n == 0 else Done())])
            assert await queue.requeue(Filter()) == 1
            (placed,) = await queue.put([Task("deal", key="k")])
            assert not placed.new

    asyncio.run(scenario())


def test_a_text_that_is_no_text_harms_nobody(redis: RedisServer) -> None:
    async def scenario() -> None:
        async with opened(redis.url) as queue:
            await queue.put([Task("deal"), Task("deal")])
            one, two = await queue.claim(["deal"], 2)
            assert await queue.settle([(one, Fail("no file \udcff")), (two, Done({"x": "\udcff"}))]) == []
            newest, oldest = await queue.tasks(Filter())
            assert (oldest.reason, newest.result) == ("no file \udcff", {"x": "\udcff"})

    asyncio.run(scenario())
