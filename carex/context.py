"""What a handler may touch while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from carex.task import Task

if TYPE_CHECKING:
    import httpx
    from loguru import Logger

    from carex.people import People


class Context:
    """One attempt's surroundings: the task, and what its plugin and its process share between attempts."""

    __slots__ = ("_http", "_people", "client", "settings", "task")

    def __init__(
        self,
        task: Task,
        *,
        settings: Any = None,
        client: Any = None,
        people: People | None = None,
        http: Callable[[], httpx.AsyncClient] | None = None,
    ) -> None:
        self.task = task
        self.settings = settings
        """The plugin's own settings: an instance of its model."""
        self.client = client
        """What the plugin's `client` gave when it was entered; shared by all attempts in this process."""
        self._people = people
        self._http = http

    @property
    def people(self) -> People:
        """The employees, and the ledger of who was chosen for what."""
        if self._people is None:
            raise RuntimeError("This context has no people: it was made by hand, without any.")
        return self._people

    @property
    def http(self) -> httpx.AsyncClient:
        """An HTTP client shared by all attempts in this process."""
        if self._http is None:
            raise RuntimeError("This context has no HTTP client.")
        return self._http()

    @property
    def log(self) -> Logger:
        """The log, with this task's id in every line."""
        from loguru import logger

        return logger.bind(task_id=self.task.id, attempt=self.task.attempt)
