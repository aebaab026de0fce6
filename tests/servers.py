"""Real engines and a real RabbitMQ for every test that asks for one, wherever it stands; a plugin of pytest.

`engine`: a running Operaton, and once more a running Camunda; shared by all tests of a run.
`clean_engine`: the same with nothing deployed. Only one flavour:
`@pytest.mark.parametrize("engine", ["camunda"], indirect=True)`.
`start_engine(flavour, auth=, database=)`: an engine of one's own, to kill.
`broker`: a virtual host of one's own on a RabbitMQ that all tests share.
`start_broker()`: a node of one's own, to kill.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.servers import FLAVOURS, Broker, Engine, Missing, Vhost, build, home

FIXTURES = {"engine", "clean_engine", "start_engine"}


def _flavours(session: pytest.Session) -> set[str]:
    """Those that the collected tests ask `engine` for."""
    calls = [getattr(item, "callspec", None) for item in session.items]
    return {call.params["engine"] for call in calls if call and "engine" in call.params}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build engines that were never built now, and not on the time of the first test that needs one."""
    wanted = any(FIXTURES & set(getattr(item, "fixturenames", ())) for item in session.items)
    absent = [flavour for flavour in FLAVOURS if not home(flavour).exists()]
    if not (wanted and absent) or session.config.option.collectonly:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter:
        reporter.write_line(f"Building with Maven, once: {', '.join(absent)} ...")
    try:
        for flavour in absent:
            build(flavour)
    except Missing:
        return  # The fixtures say it test by test.


@pytest.fixture(scope="session")
def engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Engine]]:
    """One engine of each flavour that the run needs; they start side by side."""
    folder = tmp_path_factory.mktemp("engines")
    started = {flavour: Engine(flavour, folder, quick=True) for flavour in sorted(_flavours(request.session))}
    try:
        for engine in started.values():
            engine.start()
    except Missing as missing:
        pytest.skip(str(missing))
    yield started
    for engine in started.values():
        engine.kill()


@pytest.fixture(scope="session", params=FLAVOURS)
def engine(request: pytest.FixtureRequest, engines: dict[str, Engine]) -> Engine:
    running = engines[request.param]
    running.ready()
    return running


@pytest.fixture
def clean_engine(engine: Engine) -> Engine:
    engine.empty()
    return engine


@pytest.fixture
def start_engine(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """`start_engine("operaton", auth=False, database=None)` returns it when it answers; all are ended."""
    started = []

    def start(flavour: str = "operaton", *, auth: bool = False, database: Path | None = None) -> Engine:
        engine = Engine(flavour, tmp_path, auth=auth, database=database, quick=True)
        try:
            engine.start()
        except Missing as missing:
            pytest.skip(str(missing))
        started.append(engine)
        engine.ready()
        return engine

    yield start
    for engine in started:
        engine.kill()


def _started(folder: Path) -> Broker:
    try:
        broker = Broker(folder, management=True)
        broker.start()
    except Missing as missing:
        pytest.skip(str(missing))
    return broker


@pytest.fixture(scope="session")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One node for all tests that do it no harm."""
    broker = _started(tmp_path_factory.mktemp("rabbitmq"))
    broker.ready()
    yield broker
    broker.close()


@pytest.fixture
def broker(shared_broker: Broker) -> Iterator[Vhost]:
    vhost = shared_broker.vhost(f"test-{uuid.uuid4().hex[:12]}")
    yield vhost
    shared_broker.remove(vhost)


@pytest.fixture
def start_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Broker]]:
    """`start_broker()` returns it when AMQP is answered; all are ended."""
    started = []

    def start() -> Broker:
        broker = _started(tmp_path_factory.mktemp("rabbitmq"))
        started.append(broker)
        broker.ready()
        return broker

    yield start
    for broker in started:
        broker.close()
