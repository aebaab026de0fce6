"""Who is measured, at which version, and what becomes of its tasks when a worker is killed."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from importlib.metadata import version


@dataclass(frozen=True)
class Contender:
    name: str
    title: str
    guarantee: str
    """What becomes of the tasks of a killed worker, with the settings that are measured here."""
    keeps: bool
    """Whether they are run again without a person's doing."""
    module: str
    """The file in `peers/`."""
    requirements: tuple[str, ...] = ()
    """What goes into its own environment; Carex has none, it runs in ours."""
    threads: int = 100
    """How many tasks at a time when they only compute. When they sleep it is 100 for all."""
    queue: str | None = None
    """Carex's queue URL."""
    fsync: str = "everysec"
    """When its Redis brings what it accepted to the disk."""

    @property
    def is_carex(self) -> bool:
        return self.queue is not None


REDIS_PY = ("redis==8.1.0", "hiredis==3.5.0")
CAREX = (
    Contender(
        "carex-sqlite", "Carex, SQLite", "at least once; taken up again at once", True, "carex",
        queue="sqlite://{home}/data/queue.db",
    ),
    Contender(
        "carex-redis", "Carex, Redis", "at least once; taken up again after the lease", True, "carex", queue="{redis}"
    ),
)  # fmt: skip
PEERS = (
    Contender(
        "dramatiq", "dramatiq 2.2.1", "at least once; after 60 s and by chance", True, "dramatiq",
        ("dramatiq==2.2.1", *REDIS_PY), threads=8,
    ),
    Contender(
        "taskiq", "taskiq 0.13.0, stream", "at least once; after 600 s and a new task", True, "taskiq",
        ("taskiq==0.13.0", "taskiq-redis==1.2.4", *REDIS_PY),
    ),
    Contender(
        "streaq", "streaq 7.2.0", "at least once; after 60 s", True, "streaq", ("streaq==7.2.0", "coredis==6.9.0")
    ),
    Contender(
        "arq", "arq 0.28.0", "at least once; after 310 s", True, "arq",
        ("arq==0.28.0", "redis==5.3.1", "hiredis==3.5.0"),
    ),
    Contender(
        "saq", "saq 0.26.4", "at most once: aborted", False, "saq",
        ("saq==0.26.4", "typing_extensions", "redis==7.4.1", "hiredis==3.5.0"),
    ),
)  # fmt: skip
ONCE = (
    Contender(
        "rq", "rq 3.0.0, SimpleWorker", "at most once: listed as failed", False, "rq",
        ("rq==3.0.0", *REDIS_PY), threads=1,
    ),
    Contender(
        "huey", "huey 3.5.4, Redis", "at most once: gone", False, "huey", ("huey==3.5.4", *REDIS_PY), threads=8
    ),
    Contender(
        "celery", "celery 5.7.0, threads", "at most once: gone", False, "celery",
        ("celery==5.7.0", "kombu==5.7.0", "packaging", *REDIS_PY), threads=10,
    ),
)  # fmt: skip


def _as_ours(*names: str) -> tuple[str, ...]:
    """The plain ones run what Carex runs, at the versions that are installed here."""
    return tuple(f"{name}=={version(name.partition('[')[0])}" for name in names)


_PLAIN = (*_as_ours("fastapi", "starlette", "pydantic", "loguru", "prometheus-client"), *REDIS_PY)
PLAIN = Contender(
    "plain", "plain", "at most once: gone; up to 1 s lost at a power failure", False, "plain",
    (*_PLAIN, *_as_ours("uvicorn")), threads=1,
)  # fmt: skip
PLAIN_STANDARD = Contender(
    "plain-standard", "plain, uvicorn[standard], no access log", PLAIN.guarantee, False, "plain",
    (*_PLAIN, *_as_ours("uvicorn[standard]")), threads=1,
)  # fmt: skip
PLAIN_ALWAYS = replace(
    PLAIN, name="plain-always", title="plain, appendfsync always", guarantee="at most once: gone", fsync="always"
)


def python_version() -> str:
    return ".".join(map(str, sys.version_info[:3]))
