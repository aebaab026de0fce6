"""A whole Carex between real servers, and a real Prometheus that watches it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Any

import pytest

from carex.task import Task
from tests.system.bridge.conftest import Rig
from tests.system.conftest import Installation, SimulatedPortal, until
from tools.servers import Missing, Prometheus, free_port
from tools.servers import promtool as run_promtool
from tools.servers.process import require

if TYPE_CHECKING:
    from tools.servers import Broker, Engine


@pytest.fixture(scope="session")
def promtool() -> Any:
    """`promtool(*args, text="", folder=None)`: its exit code, and what it said."""
    try:
        require("promtool", "prometheus", purpose="to check alert rules")
    except Missing as missing:
        pytest.skip(str(missing))
    return run_promtool


@dataclass
class Watched:
    """A Carex at work; `ports` are those of its processes' metrics, by Prometheus' job."""

    installation: Installation
    prometheus: Prometheus
    ports: dict[str, int]
    worker: Popen[str]

    def start_worker(self) -> None:
        port = str(self.ports["carex-worker"])
        self.worker = self.installation.worker("--consume", "default.queue", "--metrics-port", port)


@pytest.fixture(scope="module")
def watched(
    promtool: Any, engine: Engine, shared_broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    """`serve`, a worker that takes messages, and a bridge, all scraped; each has done a little."""
    engine.empty()
    vhost = shared_broker.vhost(f"metrics-{uuid.uuid4().hex[:12]}")
    rig = Rig(Installation(tmp_path_factory.mktemp("watched")), engine, vhost)
    home, portal = rig.installation, SimulatedPortal()
    home.run("init")
    home.employ(3)
    home.env["WEBHOOK_CAREX"] = portal.webhook
    ports = {name: free_port() for name in ("carex", "carex-worker", "carex-bridge")}
    prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), _impatient(home), ports)
    found = Watched(home, prometheus, ports, None)  # type: ignore[arg-type]
    try:
        prometheus.start()
        home.serve(ports["carex"])
        rig.bridge("--metrics-port", str(ports["carex-bridge"]))
        found.start_worker()
        home.put(Task("bitrix_assign", {"deal_id": 1}))
        until(lambda: home.entries("done"), what="the first task's end")
        yield found
    finally:
        prometheus.close()
        portal.stop()
        rig.close()
        shared_broker.remove(vhost)


def _impatient(home: Installation) -> list[dict[str, Any]]:
    """The rules as the command prints them, but for how long each waits."""
    groups: list[dict[str, Any]] = home.ask("metrics", "alerts")["groups"]
    return [{**group, "rules": [{**rule, "for": "1s"} for rule in group["rules"]]} for group in groups]


@pytest.fixture
def rules(promtool: Any, installation: Installation, tmp_path: Path) -> Path:
    """A folder with the rules as the command prints them."""
    (tmp_path / "carex.rules.yml").write_text(installation.run("metrics", "alerts").stdout)
    return tmp_path
