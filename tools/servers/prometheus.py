"""A Prometheus of one's own, which scrapes and evaluates every second; and its promtool."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.servers.process import free_port, require, spawn, wait_until


def promtool(*args: str, text: str = "", folder: Path | None = None) -> tuple[int, str]:
    """Run it with `text` on its stdin; its exit code, and what it said."""
    require("promtool", purpose="to check metrics and alert rules")
    ended = subprocess.run(["promtool", *args], input=text, capture_output=True, text=True, cwd=folder, timeout=60)
    return ended.returncode, ended.stdout + ended.stderr


class Prometheus:
    """`jobs` are the ports of this machine that it scrapes, by the name of the job."""

    process: subprocess.Popen[bytes]

    def __init__(self, folder: Path, groups: Sequence[Mapping[str, Any]], jobs: Mapping[str, int]) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = folder / "prometheus.log"
        self._folder = folder
        # JSON is YAML.
        (folder / "rules.json").write_text(json.dumps({"groups": groups}))
        scraped = [
            {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for name, port in jobs.items()
        ]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(folder / "rules.json")],
            "scrape_configs": scraped,
        }
        (folder / "prometheus.json").write_text(json.dumps(config))

    def start(self) -> None:
        """Return when it answers."""
        require("prometheus", purpose="to scrape metrics")
        command = ["prometheus", f"--config.file={self._folder}/prometheus.json", "--log.level=warn"]
        place = [f"--storage.tsdb.path={self._folder}/data", f"--web.listen-address={self.url.partition('//')[2]}"]
        self.process = spawn([*command, *place], self.log)
        wait_until(self._is_ready, self.process, self.log, 20)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer of its API."""
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[Any]:
        found: list[Any] = self.ask("query", query=expression)["result"]
        return found

    def firing(self) -> set[str]:
        return {each["labels"]["alertname"] for each in self.ask("alerts")["alerts"] if each["state"] == "firing"}

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    close = kill
