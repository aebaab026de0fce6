"""The webhook's secret, looked for in everything that a call can leave behind."""

import asyncio
import logging
import traceback
from collections.abc import Callable

import aiohttp
import httpx
import pytest
from carex_bitrix24 import Settings
from carex_bitrix24.client import Portal
from loguru import logger
from yarl import URL

from carex import BpmnError, Fail, Retry, Wait

SECRET = "s3cr3tw0rd99"
HOME = f"https://portal.example/rest/1/{SECRET}/"


def broken(error: Callable[[str], Exception]) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error(str(request.url))

    return answer


def answers(status: int, text: str, **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, text=text, headers=headers)


def rejected(url: str) -> Exception:
    request = aiohttp.RequestInfo(URL(url), "POST", httpx.Headers(), URL(url))  # type: ignore[arg-type]
    return aiohttp.ClientResponseError(request, (), status=400, message="bad header")


TROUBLES = [
    broken(httpx.ConnectError),
    broken(httpx.ConnectTimeout),
    broken(httpx.ReadTimeout),
    broken(httpx.ReadError),
    broken(httpx.InvalidURL),
    broken(aiohttp.InvalidURL),
    broken(rejected),
    broken(OSError),
    answers(400, f'{{"error": "ERROR_CORE", "error_description": "No method {HOME}x"}}'),
    answers(400, f'{{"error": "{SECRET}", "error_description": ""}}'),
    answers(401, f'{{"error": "NO_AUTH_FOUND", "error_description": "{SECRET}"}}'),
    answers(400, f'{{"error": "NOT_FOUND", "error_description": "{SECRET}"}}'),
    answers(502, f"<title>502</title>{HOME}"),
    answers(502, "x" * 470 + SECRET + SECRET),
    answers(404, f"<title>No {HOME}</title>"),
    answers(302, "", location=HOME),
    answers(302, "", location=f"https://new.example/rest/1/{SECRET}/"),
]


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("repeatable", [True, False])
def test_no_trouble_shows_the_secret(
    trouble: Callable[[httpx.Request], httpx.Response],
    repeatable: bool,
    lines: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")  # Carex itself quiets it when it logs

    async def scenario() -> tuple[BaseException, str]:
        async with Portal(Settings.model_validate({"webhook": HOME}), transport=httpx.MockTransport(trouble)) as portal:
            with pytest.raises((Wait, Retry, Fail, BpmnError)) as raised:
                await portal.call("crm.item.update", {"id": 1}, repeatable=repeatable)
            return raised.value, repr(portal)

    error, shown = asyncio.run(scenario())
    logger.opt(exception=error).error("as somebody may log it, variables and all")
    shown += f"{error!r} {error} " + "".join(traceback.format_exception(error)) + caplog.text + "".join(lines)

    assert error.__context__ is None
    assert "crm.item.update" in shown
    assert SECRET[:6] not in shown


def test_a_good_call_does_not_show_it_either(lines: list[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")  # Carex itself quiets it when it logs

    async def scenario() -> None:
        transport = httpx.MockTransport(answers(200, '{"result": 1}'))
        async with Portal(Settings.model_validate({"webhook": HOME}), transport=transport) as portal:
            await portal.call("crm.item.update", {"id": 1})

    asyncio.run(scenario())

    assert "https://portal.example/rest/1/***/crm.item.update" in caplog.text
    assert SECRET not in caplog.text + "".join(lines)
