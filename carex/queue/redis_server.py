"""Whether a Redis server may be trusted with tasks, and what its errors mean for people."""

from __future__ import annotations

import re
from collections.abc import Mapping

from redis import exceptions as redis

from carex.errors import CarexError, ConfigError, Unreachable

OLDEST = (6, 2)
LOSS = {
    "always": "none that was accepted",
    "everysec": "at most those of about the last 2 seconds",
    "no": "those of about the last 30 seconds (appendfsync everysec makes that 2)",
}


def durability_of(info: Mapping[str, str], appendfsync: str | None, *, allow_volatile: bool) -> str:
    """One sentence: what a power failure now would cost.

    `info` is the answer to INFO; `appendfsync` is None where CONFIG may not be asked. Raises ConfigError if the server
    would lose tasks and that is not allowed, or if it is too old; BusyLoadingError while it still loads its data.
    """
    if "1" in (info.get("loading"), info.get("async_loading")):  # it denies having an append-only file until then
        raise redis.BusyLoadingError("LOADING")
    version = info.get("redis_version", "0")
    if tuple(int(number) for number in re.findall(r"\d+", version)[:2]) < OLDEST:
        raise ConfigError(f"Redis {version} is too old.", "Carex needs Redis 6.2 or later, or Valkey.")
    volatile = info.get("aof_enabled") == "0"
    evicting = info.get("maxmemory_policy", "").startswith("allkeys")  # the others leave keys that do not expire
    if volatile and not allow_volatile:
        raise ConfigError(
            "Redis keeps no append-only file: tasks would be lost when it restarts.",
            "Run `redis-cli CONFIG SET appendonly yes`, and `redis-cli CONFIG REWRITE` to make it permanent; "
            "or accept the loss with queue.allow_volatile = true.",
        )
    if evicting and not allow_volatile:
        raise ConfigError(
            f"Redis deletes tasks when its memory is full (maxmemory-policy {info['maxmemory_policy']}).",
            "Run `redis-cli CONFIG SET maxmemory-policy noeviction`, and `redis-cli CONFIG REWRITE` to make it "
            "permanent; or accept the loss with queue.allow_volatile = true.",
        )
    eviction = " And it deletes tasks when its memory is full." if evicting else ""
    if volatile:
        return (
            "Tasks are in Redis without an append-only file: "
            f"a power failure now would cost everything since its last snapshot.{eviction}"
        )
    loss = LOSS.get(appendfsync or "", "those of the last 2 seconds or more: appendfsync cannot be read")
    mode = f", appendfsync {appendfsync}" if appendfsync else ""
    return f"Tasks are in Redis (append-only file{mode}): a power failure now would cost {loss}.{eviction}"


STATES: dict[type[Exception], str] = {
    redis.OutOfMemoryError: "OOM",
    redis.ReadOnlyError: "READONLY",
    redis.BusyLoadingError: "LOADING",
    redis.MasterDownError: "MASTERDOWN",
    redis.ClusterDownError: "CLUSTERDOWN",
    redis.TryAgainError: "TRYAGAIN",
}
PASSING = {
    "OOM": ("is out of memory.", "Raise its maxmemory, or let workers drain the queue; Carex goes on by itself."),
    "READONLY": ("is a read-only replica.", "Carex goes on when the address leads to the master again."),
    "LOADING": ("is still loading its data.", None),
    "MASTERDOWN": ("is a replica without its master.", None),
    "CLUSTERDOWN": ("belongs to a cluster that is down.", None),
    "TRYAGAIN": ("is moving keys.", None),
    "BUSY": ("is busy with a script.", None),
    "MISCONF": ("cannot write to its disk.", "Free some space on the server; Carex goes on by itself."),
    "NOREPLICAS": ("has too few replicas to accept writes.", None),
}
"""States of a server that end without us: what it says, and what to try."""


def explain(error: Exception, where: str) -> CarexError:
    """What a redis-py error means. `where` names the server without credentials.

    redis-py's authentication error is a connection error too, so the order matters; an error raised inside a script
    carries its code in the text.
    """
    if isinstance(error, (redis.AuthenticationError, redis.AuthenticationWrongNumberOfArgsError)):
        return ConfigError(
            f"{where} refuses the login: {error}",
            "Put the right user and password into the URL: redis://USER:PASSWORD@HOST:PORT/DB "
            "(special characters percent-encoded).",
        )
    found = re.search(r"(?:^|-)(NOPERM|MOVED|" + "|".join(PASSING) + r")\b", str(error))
    code = STATES.get(type(error)) or (found.group(1) if found else "")
    if code in PASSING:
        state, hint = PASSING[code]
        return Unreachable(f"{where} {state}", hint)
    if code == "NOPERM" or isinstance(error, redis.NoPermissionError):
        return ConfigError(
            f"{where} refuses: {error}",
            "Give that user its rights: `ACL SETUSER NAME ~carex:* +@all -@admin -@dangerous +info +config|get`.",
        )
    if code == "MOVED" or isinstance(error, redis.MovedError):
        return ConfigError(f"{where} is a cluster node that does not hold Carex's keys.", "Use the node that does.")
    if isinstance(error, (redis.TimeoutError, TimeoutError)):
        return Unreachable(f"{where} does not answer in time.")
    if isinstance(error, (redis.ConnectionError, OSError)):
        return Unreachable(f"{where} cannot be reached: {error}")
    return CarexError(f"{where} refuses: {error}")
