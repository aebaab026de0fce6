"""A reader in a house of their own: a clone of Carex, a portal, a Redis, a RabbitMQ and an engine, each somewhere else
than the pages say."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.docs.reader import ROOT, Reader
from tools.servers import MailSink, RedisServer, SimulatedPortal, free_port

if TYPE_CHECKING:
    from tools.servers import Engine, Vhost

CAREX = Path(sys.executable).with_name("carex")


def clone(folder: Path, servers: Sequence[str]) -> Path:
    """The sources, with a launcher that starts the Carex that is tested, and with servers that run already."""
    tools = folder / "carex" / "tools"
    tools.mkdir(parents=True)
    for path in [*ROOT.glob("[a-z]*"), *ROOT.glob("tools/*")]:
        if path.name not in ("tools", "carex", "services") or path == ROOT / "carex":
            (folder / "carex" / path.relative_to(ROOT)).symlink_to(path)
    _program(tools / "carex", f'exec {CAREX} "$@"')
    _program(tools / "services", *(f"echo '{line}'" for line in servers), "exec sleep 1000")
    return folder / "carex"


def _program(path: Path, *lines: str) -> None:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[SimulatedPortal]:
    portal = SimulatedPortal(tmp_path)
    portal.start()
    portal.ready()
    yield portal
    portal.close()


@pytest.fixture
def webhook(portal: SimulatedPortal) -> str:
    return portal.webhook


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailSink]:
    mail = MailSink(tmp_path)
    mail.start()
    mail.ready()
    yield mail
    mail.close()


@pytest.fixture
def reader(
    tmp_path: Path,
    portal: SimulatedPortal,
    mail: MailSink,
    shared_redis: RedisServer,
    broker: Vhost,
    clean_engine: Engine,
) -> Iterator[Reader]:
    shared_redis.ask("FLUSHALL")
    port = free_port()
    bin = tmp_path / "bin"
    bin.mkdir()
    _program(bin / "sudo", 'exec "$@" --dry-run')  # nobody's machine is changed; what would be done is looked at
    environment = {
        "HOME": str(tmp_path),
        "PATH": f"{bin}:{CAREX.parent}:{os.environ['PATH']}",
        "CAREX_SERVER__PORT": str(port),
    }
    rabbitmq = [
        f"RABBITMQ_HOST={broker.host}",
        f"RABBITMQ_PORT={broker.port}",
        f"RABBITMQ_USERNAME={broker.username}",
        f"RABBITMQ_PASSWORD={broker.password}",
        f"CAREX_RABBITMQ__VHOST={broker.vhost}",
    ]
    servers = [
        *rabbitmq,
        f"CAMUNDA_BASE_URL={clean_engine.url}",
        f"WEBHOOK_CAREX={portal.webhook}",
        "CAREX_PLUGINS__SERVICES__SMTP_HOST=127.0.0.1",
        f"CAREX_PLUGINS__SERVICES__SMTP_PORT={mail.port}",
        "CAREX_PLUGINS__SERVICES__SMTP_SECURITY=none",
        "CAREX_PLUGINS__SERVICES__MAIL_FROM=carex@localhost",
    ]
    here = {
        "https://your-portal.bitrix24.ru/rest/1/your-secret/": portal.webhook,
        "localhost:8000": f"localhost:{port}",
        "redis://localhost:6379/0": shared_redis.url,
        "http://localhost:8080/engine-rest": clean_engine.url,
        "RABBITMQ_HOST=localhost": "\n".join(rabbitmq),
    }
    reader = Reader(clone(tmp_path, servers), environment, here)
    yield reader
    reader.leave()
