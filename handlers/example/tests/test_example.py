import asyncio
from typing import Any

from carex import Done, Fail
from carex.testing import call

from carex_example import plugin


def greet(name: str, **settings: Any) -> object:
    handler = plugin.handlers["example_greet"]
    return asyncio.run(call(handler, {"name": name}, settings=settings))


def test_somebody_is_greeted() -> None:
    assert greet("Anna") == Done({"text": "Hello, Anna!"})


def test_the_greeting_is_a_setting() -> None:
    assert greet("Anna", greeting="Hi") == Done({"text": "Hi, Anna!"})


def test_nobody_is_a_failure() -> None:
    assert greet(" ") == Fail("There is nobody to greet.")
