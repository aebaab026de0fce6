from __future__ import annotations

import pytest

from carex.camunda.routes import Route, route_of, systems
from carex.settings import RabbitMQSettings


@pytest.mark.parametrize(
    ("topic", "system"),
    [
        ("bitrix_create_task", "bitrix24"),
        ("op_create_project", "openproject"),
        ("1c_sync_data", "1c"),
        ("send_email", "python-services"),
        ("http_request", "python-services"),
        ("anything.else", "default"),
        ("Bitrix_x", "default"),
    ],
)
def test_a_topic_goes_to_its_system(topic: str, system: str) -> None:
    assert route_of(topic, {}, RabbitMQSettings()) == Route(system, f"{system}.{topic}")
    assert route_of(topic, {}, RabbitMQSettings()).queue == f"{system}.queue"


@pytest.mark.parametrize("chosen", ["1c", "1c.queue", " 1c.queue "])
def test_the_model_may_choose_another_system(chosen: str) -> None:
    assert route_of("bitrix_x", {"queue": chosen}, RabbitMQSettings()).system == "1c"


def test_the_first_route_that_matches_wins() -> None:
    settings = RabbitMQSettings(routes={"a_*": "first", "a_b": "second"}, route_property="to")
    assert route_of("a_b", {"queue": "ignored"}, settings).system == "first"
    assert route_of("a_b", {"to": "third"}, settings).system == "third"


def test_what_no_route_matches_goes_to_the_default_system() -> None:
    assert route_of("b", {}, RabbitMQSettings(routes={"a": "x"})).system == "default"
    assert systems(RabbitMQSettings(routes={"a": "x", "b": "x"})) == ["x", "default"]


def test_a_long_topic_still_makes_a_routing_key() -> None:
    key = route_of("ы" * 255, {}, RabbitMQSettings()).routing_key
    assert key.startswith("default.ы")
    assert len(key.encode()) <= 255
