"""The RabbitMQ that the tests use: it keeps what it confirmed, and nothing of it stays behind."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pika
import pika.exceptions
import pytest
from pika.adapters.blocking_connection import BlockingChannel

if TYPE_CHECKING:
    from tools.servers import Broker, Vhost

    StartBroker = Callable[[], Broker]

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def channel(vhost: Vhost, **more: object) -> Iterator[BlockingChannel]:
    parameters = pika.URLParameters(vhost.url)
    for name, value in more.items():
        setattr(parameters, name, value)
    with pika.BlockingConnection(parameters) as connection:
        opened = connection.channel()
        opened.confirm_delivery()
        yield opened


def publish(opened: BlockingChannel, body: bytes) -> None:
    opened.queue_declare("kept", durable=True)
    opened.basic_publish("", "kept", body, pika.BasicProperties(delivery_mode=2), mandatory=True)


def test_every_test_has_a_virtual_host_of_its_own(broker: Vhost, shared_broker: Broker) -> None:
    other = shared_broker.vhost(f"{broker.vhost}-other")
    with channel(broker) as here:
        publish(here, b"mine")

    with channel(other) as there, pytest.raises(pika.exceptions.ChannelClosedByBroker, match="404"):
        there.queue_declare("kept", passive=True)

    shared_broker.remove(other)


def test_a_confirmed_persistent_message_survives_a_crash(start_broker: StartBroker) -> None:
    node = start_broker()
    with channel(node.default) as opened:
        publish(opened, b"kept")

    node.kill()
    assert not node.answers()

    node.start()
    node.ready()

    with channel(node.default) as opened:
        assert opened.basic_get("kept")[2] == b"kept"


def test_an_alarm_blocks_publishers_until_it_ends(start_broker: StartBroker) -> None:
    node = start_broker()
    node.alarm(True)

    blocked = pytest.raises(pika.exceptions.ConnectionBlockedTimeout)
    with blocked, channel(node.default, blocked_connection_timeout=0.5) as opened:
        publish(opened, b"refused")

    node.alarm(False)
    with channel(node.default) as opened:
        publish(opened, b"taken")


def test_nothing_outlives_the_program_that_started_it(shared_broker: Broker, tmp_path: Path) -> None:
    code = (
        f"import pathlib, time; from tools.servers import Broker\nnode = Broker(pathlib.Path({str(tmp_path)!r}))\n"
        "node.start(); node.ready(); print('ready', flush=True); time.sleep(100)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        assert program.stdout.readline() == "ready\n"
        assert homes(tmp_path) >= 2

        program.kill()

    deadline = time.monotonic() + 20
    while homes(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def homes(folder: Path) -> int:
    """How many processes have this folder for their home."""
    found = 0
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            found += f"HOME={folder}" in file.read_bytes().decode(errors="replace").split("\0")
    return found
