"""An engine with its REST API: Operaton 1.0.3 or Camunda 7.24.0, built once from `tools/engine` and started on H2."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from tools.servers.process import Missing, free_port, require, spawn, wait_until

SOURCES = Path(__file__).parents[1] / "engine"
FLAVOURS = ("operaton", "camunda")
"""Each is also the word in its packages and properties."""

USER = "demo"
"""The name and the password of the administrator; asked for only with `auth`."""

ARCHIVE = "engine.jsa"
MEMORY = "jdbc:h2:mem:engine;DB_CLOSE_DELAY=-1"


def home(flavour: str) -> Path:
    """Where the engine is once it is built: in `$XDG_CACHE_HOME/carex-engine`, by the hash of its sources."""
    files = sorted(path for path in (SOURCES / "pom.xml", *SOURCES.glob("src/**/*")) if path.is_file())
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "carex-engine"
    return cache / f"{flavour}-{digest}"


def build(flavour: str) -> Path:
    """The folder of the built engine (`engine.jar`, `lib/`): from the cache, else made by Maven, about half a minute.

    Two builders at once wait for each other. Raises `Missing`.
    """
    require("java", "javac", "mvn", purpose="to build and start a Camunda 7 engine")
    built = home(flavour)
    cache = built.parent
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                shutil.copy(SOURCES / "pom.xml", folder)
                shutil.copytree(SOURCES / "src", Path(folder, "src"))
                ended = subprocess.run(
                    ["mvn", "-q", "-B", "-P", flavour, "package"], cwd=folder, capture_output=True, text=True
                )
                if ended.returncode:
                    raise Missing(f"the {flavour} engine, which Maven could not build: {ended.stdout[:2000].strip()}")
                Path(folder, "target").rename(built)
            # Classes as the virtual machine likes to find them: a third off every later start. Tied to their path.
            once = ["-Dspring.context.exit=onRefresh", f"-XX:ArchiveClassesAtExit={built}/{ARCHIVE}"]
            arguments = ["--server.port=0", f"--spring.datasource.url={MEMORY}"]
            subprocess.run([*_java(built, *once), *arguments], capture_output=True)
    return built


def _java(built: Path, *options: str) -> list[str]:
    # A small heap and one collector thread: there may be two engines on a machine of two cores.
    sizes = ["-Xms128m", "-Xmx384m", "-XX:+UseSerialGC"]
    return ["java", *sizes, *options, "-cp", f"{built}/engine.jar:{built}/lib/*", "carex.engine.Application"]


class Engine:
    """One engine process. `start()`, then `ready()`; without a database file it forgets everything when it ends.

    The REST API is at `url`. With `auth` it asks for HTTP basic authentication and checks authorizations;
    the administrator is demo, password demo. `quick` costs a third of the CPU to start, but stays slower
    for ever than an engine that compiles in full: for tests, not for measurements.
    """

    def __init__(
        self,
        flavour: str,
        folder: Path,
        *,
        port: int = 0,
        auth: bool = False,
        database: Path | None = None,
        quick: bool = False,
    ) -> None:
        self.flavour = flavour
        self._quick = quick
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/engine-rest"
        self.username = self.password = USER if auth else ""
        self.log = folder / f"{flavour}-{self.port}.log"
        # Without a delay a commit is on disk when it returns, as on a server's database.
        where = f"jdbc:h2:file:{database.absolute()};WRITE_DELAY=0" if database else MEMORY
        self._arguments = [
            "--server.address=127.0.0.1",
            f"--server.port={self.port}",
            f"--spring.datasource.url={where}",
            "--spring.main.banner-mode=off",
            f"--{flavour}.bpm.admin-user.id={USER}",
            f"--{flavour}.bpm.admin-user.password={USER}",
            f"--{flavour}.bpm.authorization.enabled={str(auth).lower()}",
        ]
        if flavour == "camunda":
            self._arguments.append("--camunda.bpm.default-serialization-format=application/json")
        if auth:
            self._arguments.append(f"--carex.authentication=org.{flavour}.bpm.engine.rest.security.auth")

    def start(self) -> None:
        """Start the process, and build the engine first if it never was; does not wait for the engine."""
        built = build(self.flavour)
        options = ["-XX:TieredStopAtLevel=1"] if self._quick else []
        if (built / ARCHIVE).exists():
            options.append(f"-XX:SharedArchiveFile={built}/{ARCHIVE}")
        self.process = spawn([*_java(built, *options), *self._arguments], self.log)

    def ready(self, seconds: float = 120) -> None:
        """Return when the REST API answers."""
        wait_until(self.answers, self.process, self.log, seconds)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/version", timeout=5):
                return True
        except urllib.error.HTTPError as refusal:
            return refusal.code == 401
        except (OSError, http.client.HTTPException):
            return False

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One REST call, as the administrator; the decoded answer, or None. RuntimeError with the engine's words."""
        return self._send(method, path, json.dumps(body).encode() if body is not None else None, "application/json")

    def deploy(self, bpmn: str, name: str = "test") -> str:
        """Deploy one process model and return the deployment's id."""
        boundary = uuid.uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="deployment-name"\r\n\r\n{name}\r\n',
            f'--{boundary}\r\nContent-Disposition: form-data; name="data"; filename="{name}.bpmn"\r\n\r\n{bpmn}\r\n',
            f"--{boundary}--\r\n",
        ]
        content = f"multipart/form-data; boundary={boundary}"
        deployed = self._send("POST", "/deployment/create", "".join(parts).encode(), content)
        return str(deployed["id"])

    def empty(self) -> None:
        """Delete every deployment with its instances, tasks and history."""
        for deployment in self.call("GET", "/deployment"):
            self.call("DELETE", f"/deployment/{deployment['id']}?cascade=true&skipCustomListeners=true")

    def _send(self, method: str, path: str, data: bytes | None, content: str) -> Any:
        credentials = base64.b64encode(f"{USER}:{USER}".encode()).decode()
        headers = {"Content-Type": content, "Authorization": f"Basic {credentials}"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                said = answer.read()
        except urllib.error.HTTPError as refusal:
            raise RuntimeError(f"{method} {path}: {refusal.code} {refusal.read().decode(errors='replace')}") from None
        return json.loads(said) if said else None

    def kill(self) -> None:
        """As a crash does (SIGKILL). `start()` and `ready()` bring it back on the same port and database."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it in order, within 20 s."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
