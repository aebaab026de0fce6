"""The ports on which Carex is to be reached: free, or in use by Carex."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

from carex.cli import Root
from carex.cli.doctor.line import Line, note, ok, wrong

PATIENCE = 2.0
"""Seconds for whoever has the port to say who it is."""


def look(root: Root) -> Iterator[Line]:
    server, metrics = root.settings.server, root.settings.metrics
    if server.port:
        yield _look("server.port", server.host, server.port, "/health", '"status"', "carex serve")
    if metrics.port:
        command = "carex worker, or carex camunda bridge"
        yield _look("metrics.port", "127.0.0.1", metrics.port, "/metrics", "carex_", command)


def _look(setting: str, host: str, port: int, path: str, word: str, command: str) -> Line:
    place = f"{host}:{port}"
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
    except PermissionError:
        return wrong(f"{place} may not be used: ports below 1024 are root's", f"Choose a higher one: {setting}.")
    except socket.gaierror as error:
        return wrong(f"{host}: {error.strerror}", "Correct server.host: an address of this machine.")
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return wrong(f"{host} is no address of this machine", "Correct server.host; 0.0.0.0 are all that it has.")
        if _is_ours(host, port, path, word):
            return ok(f"{place} is Carex's ({command})")
        return wrong(
            f"{place} is taken by another program",
            f"See whose it is: ss -ltnp 'sport = :{port}'; or choose another: {setting}.",
        )
    return note(f"{place} is free: {command} does not run now")


def _is_ours(host: str, port: int, path: str, word: str) -> bool:
    from urllib.error import HTTPError
    from urllib.request import urlopen

    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    try:
        with urlopen(f"http://{reachable}:{port}{path}", timeout=PATIENCE) as answer:
            return word in answer.read(1 << 20).decode(errors="replace")
    except HTTPError as error:
        return word in error.read(1 << 20).decode(errors="replace")
    except (OSError, ValueError):
        return False
