"""Beside the bridge, a client that fetches from the engine itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CLIENT = """
import { Client, Variables } from 'camunda-external-task-client-js'
const client = new Client({ baseUrl: process.argv[2], workerId: 'js', asyncResponseTimeout: 5000, interval: 100 })
client.subscribe('js_price', async ({ task, taskService }) => {
  await taskService.complete(task, new Variables().set('price', 7))
})
"""


@pytest.fixture(scope="session")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine's own JavaScript client."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("javascript")
    package = "camunda-external-task-client-js@3.1.0"
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), package]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    (folder / "client.mjs").write_text(CLIENT)
    return folder


def test_topics_of_other_clients_are_left_to_them(rig: Any, javascript: Path) -> None:
    rig.installation.env["CAREX_CAMUNDA__OTHER_TOPICS"] = "js_*"
    rig.deploy("mixed", "weather", "js_price", "op_create_project")
    instances = rig.start("mixed", 20)
    rig.bridge()
    echo = rig.echo("default.queue", "openproject.queue")
    client = subprocess.Popen(["node", str(javascript / "client.mjs"), rig.engine.url], stdout=subprocess.DEVNULL)
    try:
        rig.until(lambda: rig.states("mixed") == {"COMPLETED": 20}, 60)
    finally:
        client.kill()
        client.wait()
    assert sum(echo.seen.values()) == 40
    assert rig.variables(instances[0])["price"] == ("Integer", 7)
