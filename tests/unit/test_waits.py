"""What the log says of tasks that wait: little, however many they are."""

from carex.waits import MOST, Waits


def test_thousands_that_wait_for_the_same_are_one_line() -> None:
    waits = Waits(lambda: 0.0)

    lines = [line for left in range(3000) for line in waits.note("bitrix_assign", f"the portal is away: {left} wait")]

    assert lines == ["bitrix_assign waits: the portal is away: 0 wait"]


def test_after_a_minute_their_number_is_told() -> None:
    now = [0.0]
    waits = Waits(lambda: now[0])
    for _ in range(5):
        waits.note("bitrix_assign", "the portal is away")
    now[0] = 60.0

    assert waits.note("bitrix_assign", "the portal is away") == [
        "bitrix_assign waits, 4 times in 60 s: the portal is away"
    ]


def test_another_reason_and_another_type_are_said_at_once() -> None:
    waits = Waits(lambda: 0.0)
    waits.note("a", "limit")

    assert waits.note("a", "outage") + waits.note("b", "limit") == ["a waits: outage", "b waits: limit"]


def test_reasons_without_end_are_not_told_apart() -> None:
    waits = Waits(lambda: 0.0)

    lines = [line for number in range(1000) for line in waits.note("a", "x" * number)]

    assert len(lines) == MOST + 1
