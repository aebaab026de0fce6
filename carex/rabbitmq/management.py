"""RabbitMQ's management plugin: what AMQP does not tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from carex.errors import Unreachable
from carex.settings import RabbitMQSettings

TIMEOUT = 5.0


@dataclass(frozen=True)
class Rates:
    """Messages a second, as the plugin averages them, and how many a consumer has without having acknowledged them."""

    published: float
    delivered: float
    unacknowledged: int


async def rates(settings: RabbitMQSettings) -> dict[str, Rates]:
    """By queue, for the queues of our virtual host. Raises Unreachable."""
    import httpx

    url = httpx.URL(settings.management_url or "")
    password = settings.password.get_secret_value() if settings.password else "guest"
    auth = None if url.userinfo else (settings.username, password)
    where = f"RabbitMQ's management at {url.host}:{url.port or 80}"
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT, auth=auth) as client:
            answer = await client.get(f"{str(url).rstrip('/')}/api/queues/{quote(settings.vhost, safe='')}")
            answer.raise_for_status()
            found = answer.json()
    except httpx.HTTPStatusError as error:
        raise Unreachable(f"{where} answers {error.response.status_code}.", "Check rabbitmq.management_url.") from None
    except (httpx.HTTPError, ValueError) as error:
        reason = type(error).__name__
        raise Unreachable(f"{where} does not answer: {reason}.", "Check rabbitmq.management_url.") from None
    return {each["name"]: _rates(each) for each in found}


def _rates(queue: dict[str, Any]) -> Rates:
    stats = queue.get("message_stats", {})

    def rate(name: str) -> float:
        return float(stats.get(f"{name}_details", {}).get("rate", 0.0))

    return Rates(rate("publish"), rate("deliver_get"), queue.get("messages_unacknowledged", 0))
