"""TLS to RabbitMQ: whom it trusts, and what it says otherwise. The node speaks plain AMQP behind a door with TLS."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from carex.errors import ConfigError
from carex.rabbitmq.connection import Broker
from carex.settings import RabbitMQSettings

if TYPE_CHECKING:
    from tools.servers import Vhost


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that nobody but itself has signed, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    file, key = folder / "certificate.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", file], check=True, capture_output=True)
    return file, key


@asynccontextmanager
async def door(vhost: Vhost, certificate: tuple[Path, Path]) -> AsyncIterator[int]:
    """A port that speaks TLS and passes on what it hears."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = await asyncio.open_connection(vhost.host, vhost.port)
        await asyncio.gather(carry(reader, inner[1]), carry(inner[0], writer), return_exceptions=True)

    async with await asyncio.start_server(enter, "localhost", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


def enter(vhost: Vhost, certificate: tuple[Path, Path], **how: Any) -> None:
    """Connect through the door, and leave again."""

    async def run() -> None:
        async with door(vhost, certificate) as port:
            known = {"port": port, "username": vhost.username, "vhost": vhost.vhost, "tls": True}
            broker = Broker(RabbitMQSettings(**{**known, "password": SecretStr(vhost.password), **how}), name="test")
            await broker.start(patient=False)
            assert broker.ready
            await broker.close()

    asyncio.run(run())


def test_a_server_whose_signer_is_named_is_trusted(broker: Vhost, certificate: tuple[Path, Path]) -> None:
    enter(broker, certificate, host="localhost", ca_file=certificate[0])


@pytest.mark.parametrize(
    ("host", "knows_signer", "says"),
    [("localhost", False, "self.signed certificate"), ("127.0.0.1", True, "not valid for '127.0.0.1'")],
    ids=["unknown signer", "another host"],
)
def test_anybody_else_is_refused_with_what_to_do(
    broker: Vhost, certificate: tuple[Path, Path], host: str, knows_signer: bool, says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        enter(broker, certificate, host=host, ca_file=certificate[0] if knows_signer else None)
    assert "rabbitmq.ca_file" in str(refused.value.hint)
