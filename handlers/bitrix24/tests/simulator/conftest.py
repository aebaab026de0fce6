"""A portal without sockets, a clock in the test's hand, and a plain HTTP client to talk to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from carex_bitrix24.simulator import Portal


@dataclass
class Clock:
    """A clock that moves only when told to."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass(frozen=True)
class Rest:
    """A portal and a client of it."""

    portal: Portal
    http: httpx.AsyncClient

    async def __call__(self, method: str, **params: Any) -> httpx.Response:
        return await self.http.post(f"/rest/1/{self.portal.secret}/{method}", json=params)

    async def batch(self, *names: str, halt: int = 0, **commands: str) -> dict[str, Any]:
        answer = await self("batch", cmd=list(names) or commands, halt=halt)
        assert answer.status_code == 200
        return answer.json()["result"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_portal(clock: Clock) -> Callable[..., Rest]:
    def build(**settings: Any) -> Rest:
        portal = Portal(**{"capacity": 1000.0, "clock": clock, **settings})
        transport = httpx.ASGITransport(portal.asgi())
        return Rest(portal, httpx.AsyncClient(transport=transport, base_url="http://portal.example"))

    return build


@pytest.fixture
def rest(open_portal: Callable[..., Rest]) -> Rest:
    return open_portal()
