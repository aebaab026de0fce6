"""A plugin's client for a command: it keeps to the workers' limits, and what fails becomes an error for a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from carex.cli import Root
from carex.errors import ConfigError, Refused, Unreachable
from carex.task import Retry, Unfinished, Wait

if TYPE_CHECKING:
    from carex.plugin import Plugin


@asynccontextmanager
async def client_of(root: Root, plugin: Plugin) -> AsyncIterator[Any]:
    """Open the client; what it raises to a handler becomes an error with an exit code."""
    from loguru import logger

    from carex.limiter_stores import share_of

    logger.remove()  # what is worth knowing is in the error
    settings = root.settings
    own = settings.plugin(plugin.name, plugin.settings) if plugin.settings else None
    client: Any = None
    share = share_of(settings.queue.url, settings.home / "data")
    try:
        async with plugin.open_client(own, share) as client:
            yield client
    except (Wait, Retry) as outcome:
        if getattr(client, "misconfigured", False):  # a client may know that waiting will not help
            raise ConfigError(outcome.reason, "Nothing was changed.") from None
        raise Unreachable(outcome.reason, "Nothing was changed; try again when that is mended.") from None
    except Unfinished as outcome:
        raise Refused(outcome.reason) from None
    finally:
        await share.close()
