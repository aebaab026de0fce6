"""A stand-in without sockets, and a plain HTTP client to talk to it."""

import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from carex_onec.simulator import Entity, Publication

PARTNER, ORDER, RATES = "Catalog_Контрагенты", "Document_Заказ", "InformationRegister_Курсы"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def publish() -> Callable[..., Publication]:
    def build(**more: Any) -> Publication:
        return Publication(
            Entity(PARTNER, {"ИНН": "String(12)", "Отсрочка": "Int64", "Менеджер_Key": "Guid"}),
            Entity(ORDER, {"Сумма": "Double"}, {"Товары": {"Количество": "Double"}}),
            Entity(
                RATES, {"Period": "DateTime", "Валюта": "String", "Курс": "Double"}, dimensions=("Period", "Валюта")
            ),
            user="Обмен",
            password="пароль",
            **more,
        )

    return build


@pytest.fixture
def browse() -> Callable[[Publication], httpx.AsyncClient]:
    basic = base64.b64encode("Обмен:пароль".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Accept": "application/json"}

    def build(publication: Publication) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(publication.asgi())
        return httpx.AsyncClient(
            transport=transport, headers=headers, base_url="http://1c.example/base/odata/standard.odata"
        )

    return build
