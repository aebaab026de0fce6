"""The metrics of the whole installation."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from carex.limiter import Bucket
from carex.metrics import BUCKETS, installation_metrics, observe
from carex.queue import Counts, Holder


def samples(counts: Counts, prefix: str = "company", **limits: Bucket) -> dict[tuple[str, ...], float]:
    text = installation_metrics(counts, prefix, limits=limits, disk_free=7).decode()
    families = text_string_to_metric_families(text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


NOTHING = Counts(by_state={}, oldest_due=0.0, counters={})


def test_the_kept_names_are_there_from_the_first_scrape() -> None:
    found = samples(NOTHING)

    assert {
        "company_tasks_processed_total",
        "company_task_processing_time_second_count",
        "company_task_processing_time_second_sum",
        "company_task_processing_time_second_bucket",
        "company_tasks_in_queue",
        "company_tasks_in_queue_errors",
        "company_redis_errors_total",
        "company_bitrix_errors_total",
    } <= {name for name, *_ in found}


def test_the_prefix_is_a_setting() -> None:
    assert ("acme_tasks_in_queue",) in samples(NOTHING, "acme")


def test_only_attempts_that_ended_a_task_count_as_processed() -> None:
    ends = {"done": 5.0, "fail": 2.0, "bpmn_error": 1.0, "retry": 100.0, "wait": 100.0, "crash": 100.0}
    found = samples(Counts({}, 0.0, {f"attempts:a:{end}": number for end, number in ends.items()}))

    assert found["company_tasks_processed_total",] == 8
    assert found["carex_attempts_total", "retry", "a"] == 100


def test_the_queue_is_what_waits_and_runs_and_its_errors_what_failed() -> None:
    found = samples(Counts({("a", "waiting"): 3, ("b", "running"): 2, ("a", "failed"): 4}, 1.5, {}))

    assert found["company_tasks_in_queue",] == 5
    assert found["company_tasks_in_queue_errors",] == 4
    assert found["carex_tasks", "failed", "a"] == 4
    assert found["carex_oldest_due_seconds",] == 1.5


def test_only_live_workers_count() -> None:
    holders = [Holder("a", 1, 0.0, True, 0), Holder("b", 2, 0.0, False, 0)]

    assert samples(Counts({}, 0.0, {}, holders))["carex_workers",] == 1


@pytest.mark.parametrize(
    ("seconds", "bound"), [(0.0, "0.005"), (0.05, "0.05"), (0.051, "0.1"), (300.0, "300.0"), (301.0, "+Inf")]
)
def test_a_time_falls_into_the_first_bucket_that_holds_it(seconds: float, bound: str) -> None:
    counters: dict[str, float] = {}

    observe(counters, [seconds])

    assert counters == {f"seconds:le:{bound}": 1, "seconds:sum": seconds}


def test_the_histogram_is_cumulative() -> None:
    counters: dict[str, float] = {}
    observe(counters, [BUCKETS[0], BUCKETS[-1] + 1])
    found = samples(Counts({}, 0.0, counters))

    name = "company_task_processing_time_second"
    assert (found[f"{name}_bucket", "0.005"], found[f"{name}_bucket", "300.0"]) == (1, 1)
    assert (found[f"{name}_bucket", "+Inf"], found[f"{name}_count",]) == (2, 2)
    assert found[f"{name}_sum",] == pytest.approx(BUCKETS[0] + BUCKETS[-1] + 1)


def test_a_type_may_hold_a_colon() -> None:
    assert samples(Counts({}, 0.0, {"attempts:a:b:done": 1.0}))["carex_attempts_total", "done", "a:b"] == 1


def test_a_type_that_never_crashed_has_no_crashes_so_that_the_first_is_an_increase() -> None:
    assert samples(Counts({("a", "waiting"): 1}, 0.0, {}))["carex_attempts_total", "crash", "a"] == 0


def test_storage_that_did_not_answer_is_counted_and_under_the_kept_name_if_it_was_redis() -> None:
    found = samples(Counts({}, 0.0, {"redis_errors": 2.0, "sqlite_errors": 3.0}))

    assert found["carex_storage_errors_total",] == 5
    assert found["company_redis_errors_total",] == 2


def test_a_limit_says_how_much_room_there_is_and_what_is_closed_but_not_of_whom() -> None:
    never = 4e9
    busy = Bucket(
        empty_at=never, rate=2.0, burst=50.0, closed={"*": (never, "down"), "crm.x": (never, ""), "y": (1, "")}
    )
    found = samples(NOTHING, **{"bitrix24:a.example": Bucket(rate=2.0, burst=50.0), "bitrix24:b.example": busy})

    assert found["carex_limiter_room", "bitrix24"] == 0
    assert found["carex_limiter_closures", "bitrix24", "everything"] == 1
    assert found["carex_limiter_closures", "bitrix24", "methods"] == 1


def test_the_room_on_the_disk_is_told() -> None:
    assert samples(NOTHING)["carex_disk_free_bytes",] == 7
