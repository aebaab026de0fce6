"""What every queue promises (`carex.queue.protocol`). Passing this suite is what it means to be a backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from carex.queue import SENDING, Answer, Filter, Placed, Queue
from carex.task import BpmnError, Crash, Done, Fail, Outcome, Retry, Task, Wait

if TYPE_CHECKING:
    from conftest import Backend

LEASE = 30.0

Scenario = Callable[["Backend", Queue], Awaitable[None]]


def on_every_backend(scenario: Scenario) -> Callable[[Backend], None]:
    """Run an asynchronous scenario with one queue open."""

    def test(backend: Backend) -> None:
        async def run() -> None:
            async with opened(backend) as queue:
                await scenario(backend, queue)

        asyncio.run(run())

    test.__name__ = scenario.__name__
    return test


@asynccontextmanager
async def opened(backend: Backend) -> AsyncIterator[Queue]:
    queue = backend.open()
    try:
        yield queue
    finally:
        await queue.close()


def deal(number: int, **more: object) -> Task:
    return Task("deal", {"id": number}, **more)  # type: ignore[arg-type]


async def state_of(queue: Queue, id: str) -> str:
    (entry,) = await queue.tasks(Filter(ids=[id]))
    return entry.state


# ---------------------------------------------------------------------------------------------- put


@on_every_backend
async def test_a_put_task_is_there_for_another_process(backend: Backend, queue: Queue) -> None:
    task = Task("deal", {"id": 1, "имя": "Пётр", "list": [1, None, 2.5]}, source="robot")
    assert await queue.put([task]) == [Placed(task.id, new=True)]
    async with opened(backend) as other:
        (delivery,) = await other.claim(["deal"], 1)
    assert delivery.task.payload == task.payload
    assert (delivery.task.id, delivery.task.source, delivery.task.attempt) == (task.id, "robot", 1)


@on_every_backend
async def test_the_same_key_is_the_same_task_while_it_is_unfinished(backend: Backend, queue: Queue) -> None:
    first, second = deal(1, key="deal:1"), deal(1, key="deal:1")
    await queue.put([first])
    assert await queue.put([second]) == [Placed(first.id, new=False)]
    await queue.claim(["deal"], 1)
    assert await queue.put([second]) == [Placed(first.id, new=False)]


@on_every_backend
async def test_duplicates_within_one_put_are_found(backend: Backend, queue: Queue) -> None:
    tasks = [deal(1, key="deal:1"), deal(1, key="deal:1"), deal(2, key="deal:2")]
    placed = await queue.put(tasks)
    assert [each.new for each in placed] == [True, False, True]
    assert placed[1].id == tasks[0].id


@on_every_backend
async def test_a_key_holds_for_its_window_after_the_end_and_no_longer(backend: Backend, queue: Queue) -> None:
    first = deal(1, key="deal:1", window=60.0)
    await queue.put([first])
    (delivery,) = await queue.claim(["deal"], 1)
    await queue.settle([(delivery, Done())])
    backend.clock.now += 59
    assert await queue.put([deal(1, key="deal:1")]) == [Placed(first.id, new=False)]
    backend.clock.now += 2
    (placed,) = await queue.put([deal(1, key="deal:1")])
    assert placed.new


@on_every_backend
async def test_two_hundred_parallel_puts_of_one_key_make_one_task(backend: Backend, queue: Queue) -> None:
    async with opened(backend) as other:
        answers = await asyncio.gather(*((queue, other)[n % 2].put([deal(1, key="deal:1")]) for n in range(200)))
    assert len({placed.id for (placed,) in answers}) == 1
    assert sum(placed.new for (placed,) in answers) == 1


@on_every_backend
async def test_a_task_put_as_failed_waits_for_a_person(backend: Backend, queue: Queue) -> None:
    task = deal(1, key="deal:1")
    assert await queue.put([task], failed="не вышло") == [Placed(task.id, new=True)]
    assert await queue.claim(["*"], 10) == []
    (entry,) = await queue.tasks(Filter(states=["failed"]))
    assert (entry.task.id, entry.reason, entry.finished) == (task.id, "не вышло", backend.clock.now)
    assert (await queue.counts()).by_state == {("deal", "failed"): 1}
    assert await queue.requeue(Filter()) == 1
    assert [each.task.id for each in await queue.claim(["*"], 10)] == [task.id]


@on_every_backend
async def test_a_task_that_is_there_is_not_put_as_failed(backend: Backend, queue: Queue) -> None:
    task = deal(1)
    await queue.put([task])
    await queue.put([task], failed="no")
    assert await state_of(queue, task.id) == "waiting"


@on_every_backend
async def test_a_task_put_twice_is_stored_once(backend: Backend, queue: Queue) -> None:
    task = deal(1)
    await queue.put([task])
    await queue.put([task])
    assert len(await queue.tasks(Filter())) == 1


@on_every_backend
async def test_what_cannot_be_stored_harms_no_neighbour(backend: Backend, queue: Queue) -> None:
    good, bad = deal(1), Task("deal", {"name": "\ud800"})
    results = await asyncio.gather(queue.put([good]), queue.put([bad]), queue.put([deal(2)]), return_exceptions=True)
    assert isinstance(results[1], ValueError)
    assert len(await queue.tasks(Filter())) == 2


# ---------------------------------------------------------------------------------------------- claim


@on_every_backend
async def test_the_oldest_due_comes_first_whatever_its_type(backend: Backend, queue: Queue) -> None:
    order = []
    for type in ("b", "a", "c", "a"):
        await queue.put([task := Task(type)])
        order.append(task.id)
        backend.clock.now += 1
    claimed = await queue.claim(["a", "b", "c"], 3)
    assert [each.task.id for each in claimed] == order[:3]


@on_every_backend
async def test_tasks_of_one_moment_come_in_the_order_they_were_put(backend: Backend, queue: Queue) -> None:
    tasks = [deal(n) for n in range(50)]
    await queue.put(tasks)
    assert [each.task.payload["id"] for each in await queue.claim(["deal"], 50)] == list(range(50))


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["bitrix_*"], {"bitrix_a", "bitrix_b"}),
        (["*"], {"bitrix_a", "bitrix_b", "op_a", "1c_sync"}),
        (["bitrix_a", "1c_*"], {"bitrix_a", "1c_sync"}),
        (["op_?", "bitrix_[bc]"], {"op_a", "bitrix_b"}),
        (["nothing_*", "none"], set()),
        ([], set()),
    ],
)
def test_only_the_wanted_types_are_claimed(backend: Backend, types: list[str], expected: set[str]) -> None:
    async def scenario() -> None:
        async with opened(backend) as queue:
            await queue.put([Task(type) for type in ("bitrix_a", "bitrix_b", "op_a", "1c_sync")])
            assert {each.task.type for each in await queue.claim(types, 10)} == expected

    asyncio.run(scenario())


@on_every_backend
async def test_two_holders_never_get_the_same_task(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(n) for n in range(300)])
    async with opened(backend) as other:
        batches = await asyncio.gather(*((queue, other)[n % 2].claim(["deal"], 7) for n in range(60)))
        ids = [each.task.id for batch in batches for each in batch]
    assert len(ids) == len(set(ids)) == 300


@on_every_backend
async def test_a_delayed_task_is_claimed_when_it_is_due_and_not_before(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(1, due=backend.clock.now + 60)])
    assert await queue.claim(["deal"], 1) == []
    backend.clock.now += 60
    assert len(await queue.claim(["deal"], 1)) == 1


@on_every_backend
async def test_a_waiting_claim_wakes_at_a_put_by_another_process(backend: Backend, queue: Queue) -> None:
    claim = asyncio.create_task(queue.claim(["deal"], 1, wait=20))
    async with opened(backend) as other:
        await other.claim(["deal"], 1)  # both are at home now
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        put_at = loop.time()
        await other.put([deal(1)])
        assert len(await claim) == 1
    assert loop.time() - put_at < 0.5  # well below the slow poll


@on_every_backend
async def test_a_waiting_claim_returns_empty_when_its_time_is_over(backend: Backend, queue: Queue) -> None:
    assert await queue.claim(["deal"], 1, wait=0.05) == []


# ---------------------------------------------------------------------------------------------- leases


@on_every_backend
async def test_a_lease_that_ran_out_is_claimed_again_with_a_crash_counted(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(1)])
    await queue.claim(["deal"], 1)
    backend.clock.now += LEASE - 1
    async with opened(backend) as other:
        assert await other.claim(["deal"], 1) == []
        backend.clock.now += 2
        (again,) = await other.claim(["deal"], 1)
    assert (again.task.attempt, again.crashes) == (2, 1)


@on_every_backend
async def test_an_extended_lease_holds(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(1)])
    held = await queue.claim(["deal"], 1)
    async with opened(backend) as other:
        for _ in range(3):
            backend.clock.now += LEASE - 1
            assert await queue.extend(held) == []
            assert await other.claim(["deal"], 1) == []


@on_every_backend
async def test_a_late_result_is_refused_and_changes_nothing(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(1)])
    (late,) = await queue.claim(["deal"], 1)
    backend.clock.now += LEASE + 1
    async with opened(backend) as other:
        (current,) = await other.claim(["deal"], 1)
        assert await queue.settle([(late, Fail("late"))]) == [late]
        assert await queue.extend([late]) == [late]
        assert await other.settle([(current, Done("mine"))]) == []
    (entry,) = await queue.tasks(Filter())
    assert (entry.state, entry.result) == ("done", "mine")


@on_every_backend
async def test_the_fence_is_new_even_when_the_attempt_is_not(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(1)])
    (first,) = await queue.claim(["deal"], 1)
    await queue.settle([(first, Wait("limit", delay=0))])
    (second,) = await queue.claim(["deal"], 1)
    assert first.task.attempt == second.task.attempt == 1
    assert await queue.settle([(first, Done())]) == [first]
    assert await queue.settle([(second, Done())]) == []


@on_every_backend
async def test_a_holder_that_closes_gives_its_tasks_back_at_once_and_no_attempt_is_lost(
    backend: Backend, queue: Queue
) -> None:
    await queue.put([deal(1)])
    async with opened(backend) as other:
        await other.claim(["deal"], 1)
    (again,) = await queue.claim(["deal"], 1)
    assert (again.task.attempt, again.crashes) == (1, 0)


@on_every_backend
async def test_who_extends_a_lease_is_its_holder_and_the_former_one_may_go(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(1)])
    former = backend.open()
    held = await former.claim(["deal"], 1)
    assert await queue.extend(held) == []
    await former.close()
    assert await queue.claim(["deal"], 1) == []
    assert await queue.settle([(held[0], Done())]) == []


@on_every_backend
async def test_a_new_holder_that_closes_gives_back_what_it_took_over(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(1)])
    held = await queue.claim(["deal"], 1)
    async with opened(backend) as other:
        await other.extend(held)
    (again,) = await queue.claim(["deal"], 1)
    assert (again.task.attempt, again.crashes) == (1, 0)


# ---------------------------------------------------------------------------------------------- settle


@on_every_backend
async def test_done_keeps_the_result(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(1)])
    (delivery,) = await queue.claim(["deal"], 1)
    assert await queue.settle([(delivery, Done({"user": "Ольга"}))]) == []
    (entry,) = await queue.tasks(Filter())
    assert (entry.state, entry.result, entry.finished) == ("done", {"user": "Ольга"}, backend.clock.now)


@on_every_backend
async def test_a_retry_costs_an_attempt_and_waits_its_delay(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(1)])
    (delivery,) = await queue.claim(["deal"], 1)
    await queue.settle([(delivery, Retry("no luck", delay=10))])
    backend.clock.now += 9
    assert await queue.claim(["deal"], 1) == []
    backend.clock.now += 1
    (again,) = await queue.claim(["deal"], 1)
    assert again.task.attempt == 2


@on_every_backend
async def test_a_wait_is_free_and_shows_its_reason(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(1)])
    for _ in range(3):
        (delivery,) = await queue.claim(["deal"], 1)
        await queue.settle([(delivery, Wait("portal limit", delay=0))])
    (entry,) = await queue.tasks(Filter())
    assert (entry.state, entry.reason, entry.task.attempt) == ("waiting", "portal limit", 0)
    assert [(line["outcome"], line["times"]) for line in entry.history] == [("Wait", 3)]


@on_every_backend
async def test_a_crash_is_counted_and_the_task_is_due_at_once(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(1)])
    (delivery,) = await queue.claim(["deal"], 1)
    await queue.settle([(delivery, Crash("its process died"))])
    (entry,) = await queue.tasks(Filter())
    assert (entry.reason, entry.history[0]["outcome"]) == ("crash: its process died", "Crash")
    (again,) = await queue.claim(["deal"], 1)
    assert (again.task.attempt, again.crashes) == (2, 1)


@on_every_backend
async def test_a_failed_task_stays_until_a_person_retries_it(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(1)])
    (delivery,) = await queue.claim(["deal"], 1)
    await queue.settle([(delivery, Fail("нет такой сделки"))])
    backend.clock.now += 10 * 86400
    assert await queue.prune(0) == 0
    assert await queue.claim(["deal"], 1) == []
    assert await queue.requeue(Filter(ids=[delivery.task.id])) == 1
    (again,) = await queue.claim(["deal"], 1)
    assert again.task.attempt == 1


@on_every_backend
async def test_a_bpmn_error_is_a_failure_with_its_code(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(1)])
    (delivery,) = await queue.claim(["deal"], 1)
    await queue.settle([(delivery, BpmnError("NOT_FOUND", "no deal 1"))])
    (entry,) = await queue.tasks(Filter())
    assert (entry.state, entry.reason) == ("failed", "NOT_FOUND: no deal 1")


@on_every_backend
async def test_one_settle_stores_many_outcomes_and_names_the_lost_ones(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(n) for n in range(4)])
    a, b, c, d = await queue.claim(["deal"], 4)
    await queue.settle([(b, Done())])
    outcomes = [(a, Done()), (b, Fail("twice")), (c, Retry("x", delay=1)), (d, Fail("y"))]
    assert await queue.settle(outcomes) == [b]
    states = [await state_of(queue, each.task.id) for each in (a, b, c, d)]
    assert states == ["done", "done", "waiting", "failed"]


# ---------------------------------------------------------------------------------------------- answers


def asked(number: int = 1) -> Task:
    """A task that somebody waits for."""
    return deal(number, key=f"engine:{number}", window=60.0, reply={"task_id": f"id-{number}", "retries": None})


@on_every_backend
async def test_a_task_brings_what_its_answer_needs(backend: Backend, queue: Queue) -> None:
    await queue.put([asked(), deal(2)])
    first, second = await queue.claim(["deal"], 2)
    assert (first.task.reply, second.task.reply) == ({"task_id": "id-1", "retries": None}, None)
    assert [entry.task.reply for entry in await queue.tasks(Filter())] == [None, first.task.reply]


@on_every_backend
async def test_an_answer_is_its_settlers_to_send_and_anybodys_when_that_takes_too_long(
    backend: Backend, queue: Queue
) -> None:
    await queue.put([asked(), asked(2)])
    first, second = await queue.claim(["deal"], 2)
    bodies = {first.task.id: '{"ответ": "да\\n"}', second.task.id: "line\nfeed"}
    await queue.settle([(first, Done({"n": 1})), (second, Done())], answers=bodies)
    assert await queue.answers(10) == []
    backend.clock.now += SENDING
    async with opened(backend) as other:
        taken = await other.answers(10)
    assert sorted(taken) == sorted(Answer.to(each, bodies[each.task.id]) for each in (first, second))
    assert await queue.answers(10) == []


@on_every_backend
async def test_a_sent_answer_is_forgotten(backend: Backend, queue: Queue) -> None:
    await queue.put([asked(), asked(2)])
    first, second = await queue.claim(["deal"], 2)
    await queue.settle([(each, Done()) for each in (first, second)], answers={first.task.id: "1", second.task.id: "2"})
    await queue.sent([Answer.to(first, "1").id])
    backend.clock.now += SENDING
    assert await queue.answers(10) == [Answer.to(second, "2")]


@on_every_backend
async def test_answers_are_counted_until_they_were_sent(backend: Backend, queue: Queue) -> None:
    await queue.put([asked()])
    (delivery,) = await queue.claim(["deal"], 1)
    await queue.settle([(delivery, Done())], answers={delivery.task.id: "done"})
    assert (await queue.counts()).unsent == 1
    await queue.sent([Answer.to(delivery, "done").id])
    assert (await queue.counts()).unsent == 0


@on_every_backend
async def test_the_oldest_answers_come_first(backend: Backend, queue: Queue) -> None:
    for number in (1, 2, 3):
        await queue.put([asked(number)])
        (delivery,) = await queue.claim(["deal"], 1)
        await queue.settle([(delivery, Done())], answers={delivery.task.id: str(number)})
        backend.clock.now += SENDING
    assert [answer.body for answer in await queue.answers(2)] == ["1", "2"]


@pytest.mark.parametrize(
    ("outcome", "state", "comes_again"),
    [
        (Done(), "done", False),
        (BpmnError("NO_MONEY", "none"), "done", False),
        (Retry("down", 9), "done", True),
        (Wait("limit", 9), "done", True),
        (Fail("wrong"), "failed", True),
    ],
    ids=repr,
)
def test_an_answered_task_is_at_its_end_and_its_key_says_whether_it_may_come_again(
    backend: Backend, outcome: Outcome, state: str, comes_again: bool
) -> None:
    async def scenario(queue: Queue) -> None:
        task = asked()
        await queue.put([task])
        deliveries = await queue.claim(["deal"], 1)
        await queue.settle([(deliveries[0], outcome)], answers={task.id: "…"})
        (entry,) = await queue.tasks(Filter())
        assert (entry.state, entry.finished) == (state, backend.clock.now)
        assert getattr(outcome, "reason", "") in entry.reason
        assert (await queue.put([asked()]))[0].new == comes_again

    async def run() -> None:
        async with opened(backend) as queue:
            await scenario(queue)

    asyncio.run(run())


@on_every_backend
async def test_a_late_result_leaves_no_answer(backend: Backend, queue: Queue) -> None:
    await queue.put([asked(), asked(2)])
    late, good = await queue.claim(["deal"], 2)
    backend.clock.now += LEASE + 1
    await queue.extend([good])
    (again, *_) = await queue.claim(["deal"], 1)
    bodies = {late.task.id: "late", good.task.id: "good"}
    assert late in await queue.settle([(late, Done()), (good, Done())], answers=bodies)
    backend.clock.now += SENDING
    assert [answer.body for answer in await queue.answers(9)] == ["good"]
    assert again.task.id == late.task.id


@on_every_backend
async def test_counters_add_up_over_processes(backend: Backend, queue: Queue) -> None:
    async with opened(backend) as other:
        await queue.settle([], {"done": 2, "seconds": 0.5})
        await other.settle([], {"done": 1})
    assert (await queue.counts()).counters == {"done": 3, "seconds": 0.5}


# ---------------------------------------------------------------------------------------------- the operator


@on_every_backend
async def test_counts_say_how_much_waits_runs_and_failed_and_since_when(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(n) for n in range(3)] + [Task("mail")])
    delivery, _ = await queue.claim(["deal"], 2)
    await queue.settle([(delivery, Fail("x"))])
    backend.clock.now += 7
    counts = await queue.counts()
    expected = {("deal", "waiting"): 1, ("deal", "running"): 1, ("deal", "failed"): 1, ("mail", "waiting"): 1}
    assert counts.by_state == expected
    assert counts.oldest_due == 7
    assert [(holder.alive, holder.running) for holder in counts.holders] == [(True, 1)]


async def _filtered(queue: Queue, clock: Callable[[], float]) -> None:
    await queue.put([Task("bitrix_a", {"n": 1}), Task("bitrix_b", {"имя": "Пётр"}), Task("mail", key="k7")])
    first, *_ = await queue.claim(["bitrix_a"], 1)
    await queue.settle([(first, Fail("Portal said NO"))])


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Filter(), {"bitrix_a", "bitrix_b", "mail"}),
        (Filter(types=["bitrix_*"]), {"bitrix_a", "bitrix_b"}),
        (Filter(states=["failed"]), {"bitrix_a"}),
        (Filter(states=["failed", "waiting"], types=["mail"]), {"mail"}),
        (Filter(match="portal said no"), {"bitrix_a"}),
        (Filter(match="ПЁТР"), {"bitrix_b"}),
        (Filter(match="k7"), {"mail"}),
        (Filter(limit=1), {"mail"}),
        (Filter(ids=["no such id"]), set()),
        (Filter(since=2e9), set()),
    ],
)
def test_a_filter_means_all_its_conditions(backend: Backend, where: Filter, expected: set[str]) -> None:
    async def scenario() -> None:
        async with opened(backend) as queue:
            await _filtered(queue, backend.clock)
            assert {entry.task.type for entry in await queue.tasks(where)} == expected

    asyncio.run(scenario())


@on_every_backend
async def test_requeue_touches_failed_tasks_only(backend: Backend, queue: Queue) -> None:
    await _filtered(queue, backend.clock)
    assert await queue.requeue(Filter()) == 1
    assert {entry.state for entry in await queue.tasks(Filter())} == {"waiting"}


@on_every_backend
async def test_delete_spares_what_is_running(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(1), deal(2)])
    (running,) = await queue.claim(["deal"], 1)
    assert await queue.delete(Filter()) == 1
    assert [entry.task.id for entry in await queue.tasks(Filter())] == [running.task.id]


@on_every_backend
async def test_pruning_removes_old_done_tasks_but_keeps_keys_that_still_hold(backend: Backend, queue: Queue) -> None:
    await queue.put([deal(1), deal(2, key="k", window=500.0), deal(3)])
    for delivery in (await queue.claim(["deal"], 3))[:2]:
        await queue.settle([(delivery, Done())])
    backend.clock.now += 101
    assert await queue.prune(100) == 1
    backend.clock.now += 400
    assert await queue.prune(100) == 1
    assert [entry.state for entry in await queue.tasks(Filter())] == ["running"]


@on_every_backend
async def test_the_first_to_own_something_owns_it_until_it_is_taken(backend: Backend, queue: Queue) -> None:
    async with opened(backend) as other:
        assert await queue.own("people", "home 1") == "home 1"
        assert await other.own("people", "home 2") == "home 1"
        assert await other.own("people", "home 2", take=True) == "home 2"
        assert await queue.own("people", "home 1") == "home 2"
