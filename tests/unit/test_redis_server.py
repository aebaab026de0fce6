"""Which Redis servers are trusted with tasks, and what their errors mean."""

from __future__ import annotations

import pytest
from redis import exceptions as redis

from carex.errors import CarexError, ConfigError, Unreachable
from carex.queue.redis_line import connect_later, place_of
from carex.queue.redis_server import durability_of, explain

GOOD = {"redis_version": "7.0.15", "aof_enabled": "1", "maxmemory_policy": "noeviction"}


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (redis.AuthenticationError("Authentication required."), ConfigError, "refuses the login"),
        (redis.AuthenticationError("invalid username-password pair or user is disabled."), ConfigError, "login"),
        (redis.NoPermissionError("User x has no permissions to run the 'evalsha' command"), ConfigError, "evalsha"),
        (redis.ResponseError("Error running script: -NOPERM this user may not"), ConfigError, "may not"),
        (redis.MovedError("7137 127.0.0.1:7002"), ConfigError, "cluster node"),
        (redis.ReadOnlyError("You can't write against a read only replica."), Unreachable, "read-only replica"),
        (redis.BusyLoadingError("Redis is loading the dataset in memory"), Unreachable, "loading"),
        (redis.MasterDownError("Link with MASTER is down"), Unreachable, "without its master"),
        (redis.ClusterDownError("The cluster is down"), Unreachable, "cluster that is down"),
        (redis.TryAgainError("Multiple keys request during rehashing of slot"), Unreachable, "moving keys"),
        (redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), Unreachable, "out of memory"),
        (
            redis.ResponseError("Error running script (call to f_1): @user_script: 1: -OOM no"),
            Unreachable,
            "out of mem",
        ),
        (redis.ResponseError("BUSY Redis is busy running a script."), Unreachable, "busy"),
        (redis.ResponseError("MISCONF Errors writing to the AOF file: No space left"), Unreachable, "its disk"),
        (redis.ResponseError("NOREPLICAS Not enough good replicas to write."), Unreachable, "replicas"),
        (redis.TimeoutError("Timeout reading from socket"), Unreachable, "in time"),
        (redis.ConnectionError("Error 111 connecting to h:1. Connection refused."), Unreachable, "Connection refused"),
        (ConnectionResetError("reset"), Unreachable, "cannot be reached"),
        (redis.ResponseError("unknown command 'EVALSHA'"), CarexError, "unknown command"),
    ],
)
def test_an_error_is_what_it_means_for_people(error: Exception, kind: type, says: str) -> None:
    explained = explain(error, "Redis at h:1")
    assert type(explained) is kind
    assert explained.message.startswith("Redis at h:1")
    assert says in explained.message


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"aof_enabled": "0"}, "redis-cli CONFIG SET appendonly yes"),
        ({"maxmemory_policy": "allkeys-lru"}, "redis-cli CONFIG SET maxmemory-policy noeviction"),
        ({"redis_version": "6.0.16"}, "6.2 or later"),
    ],
)
def test_a_server_that_would_lose_tasks_is_refused_with_the_way_out(changed: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        durability_of({**GOOD, **changed}, "everysec", allow_volatile=False)
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    ("changed", "appendfsync", "says"),
    [
        ({}, "always", "none that was accepted"),
        ({}, "everysec", "the last 2 seconds"),
        ({}, "no", "the last 30 seconds"),
        ({}, None, "appendfsync cannot be read"),
        ({"maxmemory_policy": "volatile-lru"}, "always", "none that was accepted"),
        ({"aof_enabled": "0"}, "everysec", "everything since its last snapshot"),
        ({"maxmemory_policy": "allkeys-lru"}, "always", "deletes tasks when its memory is full"),
    ],
)
def test_one_sentence_says_what_a_power_failure_would_cost(
    changed: dict[str, str], appendfsync: str | None, says: str
) -> None:
    assert says in durability_of({**GOOD, **changed}, appendfsync, allow_volatile=True)


@pytest.mark.parametrize("url", ["redis://:s3cret/x@host:6379/0", "redis://:s3cret@host:port/0", "http://s3cret@host"])
def test_a_bad_address_is_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        connect_later(url)
    assert "s3cret" not in str(refusal.value)
    assert refusal.value.__context__ is None or refusal.value.__suppress_context__


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://u:s3cret@host:7000/2", "Redis at host:7000"),
        ("rediss://:s3cret@host/2", "Redis at host:6379"),
    ],
)
def test_the_place_of_a_server_is_named_without_its_password(url: str, place: str) -> None:
    assert place_of(connect_later(url)) == place


def test_a_server_that_still_loads_is_not_judged() -> None:
    with pytest.raises(redis.BusyLoadingError):  # it says aof_enabled:0 until it has loaded
        durability_of({**GOOD, "aof_enabled": "0", "loading": "1"}, None, allow_volatile=False)
