"""A trading company's infobase without sockets, and attempts at tasks on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from carex_onec import Settings, plugin
from carex_onec.client import Infobase
from carex_onec.simulator import Entity, Publication

from carex.testing import call

PARTNER, ORDER, RATES = "Catalog_Контрагенты", "Document_ЗаказПокупателя", "InformationRegister_КурсыВалют"
URL = "http://1c.example/base"


def entities() -> list[Entity]:
    return [
        Entity(PARTNER, {"ИНН": "String(12)", "Лимит": "Double", "Отсрочка": "Int64", "Менеджер_Key": "Guid"}),
        Entity(
            ORDER,
            {"Контрагент_Key": "Guid", "Сумма": "Double", "Комментарий": "String"},
            {"Товары": {"Номенклатура_Key": "Guid", "Количество": "Double"}},
        ),
        Entity(
            RATES,
            {"Period": "DateTime", "Валюта_Key": "Guid", "Курс": "Double", "Кратность": "Int64"},
            dimensions=("Period", "Валюта_Key"),
        ),
    ]


def settings(**more: Any) -> Settings:
    given = {"url": URL, "user": "Обмен", "password": "пароль-1C", "settle": 0.0, **more}
    return Settings.model_validate(given)


def client(publication: Publication, clock: Callable[[], float] = time.monotonic, **more: Any) -> Infobase:
    return Infobase(settings(**more), transport=httpx.ASGITransport(publication.asgi()), clock=clock)


@pytest.fixture
def shop() -> Callable[..., Publication]:
    """An infobase with partners, orders and rates."""
    return lambda **more: Publication(*entities(), **more)


@pytest.fixture
def connect() -> Callable[..., Infobase]:
    return client


@pytest.fixture
def run() -> Callable[..., Any]:
    """One attempt at a task, as a worker would make it; how it ended."""

    def attempt(publication: Publication, type: str, payload: dict[str, Any], **more: Any) -> Any:
        about = {name: more.pop(name) for name in ("id", "attempt") if name in more}

        async def scenario() -> Any:
            async with client(publication, **more) as infobase:
                given = {"id": "task-1", **about}
                return await call(plugin.handlers[type], payload, settings=infobase.settings, client=infobase, **given)

        return asyncio.run(scenario())

    return attempt
