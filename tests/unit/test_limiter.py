import asyncio
from pathlib import Path

import pytest

from carex.limiter import ALL, Bucket, Limiter, Share
from carex.limiter_stores import SqliteStore, share_of

RATE, BURST = 2.0, 50.0
NOW = 1_800_000_000.0


def reserve(bucket: Bucket, times: int = 1, now: float = NOW) -> list[float]:
    """For how long each of so many requests has to wait."""
    return [bucket.reserve(now, RATE, BURST).delay for _ in range(times)]


def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    delays = reserve(Bucket(), 55)

    assert delays[:49] == [0.0] * 49
    assert delays[49:] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.5, 3.0])


def test_what_has_drained_may_go_again() -> None:
    bucket = Bucket()
    reserve(bucket, 49)

    assert reserve(bucket, 11, NOW + 5.0) == pytest.approx([0.0] * 10 + [0.5])


def test_a_refusal_makes_everybody_wait_until_something_has_drained() -> None:
    bucket = Bucket()
    reserve(bucket)
    bucket.refuse(NOW, RATE, BURST)

    assert reserve(bucket, 3) == pytest.approx([1.5, 2.0, 2.5])


def test_a_burst_that_was_refused_is_not_tried_in_full_soon() -> None:
    bucket = Bucket()
    reserve(bucket, 20)
    bucket.refuse(NOW, RATE, BURST)

    assert sum(delay == 0 for delay in reserve(bucket, 60, NOW + 60)) < 30
    assert sum(delay == 0 for delay in reserve(bucket, 60, NOW + 1000)) == 49


def test_a_clock_that_is_set_back_costs_a_minute_at_most() -> None:
    bucket = Bucket()
    reserve(bucket, now=NOW + 86400)
    bucket.close(NOW + 86400, "crm.item.get", "parked", 60)

    permit = bucket.reserve(NOW, RATE, BURST)

    assert permit.delay <= 60
    assert permit.closed["crm.item.get"].left <= 3600


def test_what_is_closed_is_said_with_every_permit_until_it_is_over() -> None:
    bucket = Bucket()
    bucket.close(NOW, "crm.item.get", "parked", 60)

    assert bucket.reserve(NOW + 59, RATE, BURST).closed["crm.item.get"].reason == "parked"
    assert bucket.reserve(NOW + 61, RATE, BURST).closed == {}


def test_while_everything_is_closed_no_place_is_taken() -> None:
    bucket = Bucket()
    bucket.close(NOW, ALL, "down", 10)

    closed = [bucket.reserve(NOW + 1, RATE, BURST).closed[ALL].left for _ in range(100)]

    assert closed == [9.0] * 100
    bucket.open(NOW + 1, ALL)
    assert reserve(bucket, now=NOW + 1) == [0.0]


def test_after_everything_was_closed_one_goes_first_and_the_others_wait_for_what_it_finds() -> None:
    bucket = Bucket()
    bucket.close(NOW, ALL, "down", 10)

    first, second = (bucket.reserve(NOW + 11, RATE, BURST) for _ in range(2))

    assert (first.probe, ALL in first.closed) == (True, False)
    assert ALL in second.closed
    assert bucket.open(NOW + 12, ALL)
    assert bucket.reserve(NOW + 12, RATE, BURST).probe is False


def test_a_probe_of_which_nothing_is_heard_is_followed_by_another() -> None:
    bucket = Bucket()
    bucket.close(NOW, ALL, "down", 10)
    bucket.reserve(NOW + 11, RATE, BURST)

    assert bucket.reserve(NOW + 30, RATE, BURST).probe


def test_processes_with_one_file_share_a_bucket(tmp_path: Path) -> None:
    async def scenario() -> list[float]:
        stores = [SqliteStore(tmp_path / "limits.db") for _ in range(4)]
        limiters = [Limiter(store, "portal", rate=RATE, burst=BURST) for store in stores]
        permits = await asyncio.gather(*(limiter.reserve() for limiter in limiters for _ in range(15)))
        await asyncio.gather(*(store.close() for store in stores))
        return sorted(permit.delay for permit in permits)

    delays = asyncio.run(scenario())

    assert sum(delay == 0 for delay in delays) in (49, 50)
    assert 4.5 < delays[-1] <= 5.5


def test_nothing_is_opened_before_it_is_needed(tmp_path: Path) -> None:
    share_of("sqlite:///queue.db", tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_each_name_has_a_bucket_of_its_own() -> None:
    share = Share(clock=lambda: NOW)

    async def scenario() -> list[float]:
        one, other = (share.limiter(name, rate=1.0, burst=2.0) for name in ("one", "other"))
        return [(await each.reserve()).delay for each in (one, one, other)]

    assert asyncio.run(scenario()) == [0.0, 1.0, 0.0]
