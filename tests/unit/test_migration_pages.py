"""The pages about moving name a way here for every row of the two old systems, and nothing that is not there."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from carex.camunda.routes import systems
from carex.cli import COMMANDS, _load
from carex.log import BRIDGE_FILES, FILES
from carex.metrics import installation_metrics
from carex.queue import Counts
from carex.rabbitmq.topology import queue_of
from carex.registry import load as load_registry
from carex.server.gate import RETRY_ERRORS
from carex.settings import RabbitMQSettings, load

DOCS = Path(__file__).parents[2] / ".github" / "docs"
NAMES = ("moving-from-the-deal-distributor", "moving-from-the-camunda-worker")
PAGES = [f"{name}{suffix}" for name in NAMES for suffix in (".md", ".ru.md")]
DISTRIBUTOR = """
REDIS_URL; WEBHOOK_CAREX; TECH_ACCOUNT; TASKS; TASKS_ERROR; HANDLERS; USERS; TaskTypes
python -m src.BD.init_db; python -m src.BD.view; python -m src.Workers.worker; is_excluded
uvicorn src.main:app --host 0.0.0.0 --port 8000; src/Scripts/setup_supervisor.sh
POST /CarexRandom; POST /CompanyRandom; GET /retry-errors; GET /metrics
task_random_queue; task_random_error_queue; company_main.log; company_debug.log
company_tasks_processed_total; company_task_processing_time_second; company_tasks_in_queue
company_tasks_in_queue_errors; company_redis_errors_total; company_bitrix_errors_total
"""
WORKER = """
CAMUNDA_BASE_URL; CAMUNDA_WORKER_ID; CAMUNDA_MAX_TASKS; CAMUNDA_LOCK_DURATION; CAMUNDA_AUTH_USERNAME
CAMUNDA_AUTH_PASSWORD; RABBITMQ_HOST; RABBITMQ_PORT; RABBITMQ_USERNAME; RABBITMQ_PASSWORD; LOG_LEVEL
camunda.external.tasks; camunda.task.responses; camunda.responses.queue; default.queue
bitrix24.queue; openproject.queue; 1c.queue; python-services.queue
python main.py; python camunda_worker.py; python response_handler.py; camunda-worker.service
systemctl status camunda-worker; journalctl -u camunda-worker
tools/check_queues.py; tools/camunda_processes.py --stats; tools/camunda_processes.py --instances
tools/worker_diagnostics.py; tools/unlock_task.py --task-id ID; tools/start_process.py
logs/camunda_worker.log; logs/camunda_worker_errors.log; Monitor - Uptime: 3600s; RoutingConfig
complete; failure; bpmn_error
"""
ROWS = {NAMES[0]: re.split(r"; |\n", DISTRIBUTOR.strip()), NAMES[1]: re.split(r"; |\n", WORKER.strip())}


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(name: str) -> list[list[str]]:
    """The cells of every row of the page's tables."""
    found = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in page(name).splitlines() if line.startswith("| ")]
    return [row for row in found if "`" in row[0] or " " in row[0]]


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


def commands(name: str) -> list[str]:
    """What is to be typed, in spans and in blocks, in the order of the page."""
    text = page(name)
    lines = [line.removeprefix("sudo ") for line in re.sub(r" && ", "\n", text).splitlines()]
    typed = [line for line in lines if line.startswith("carex ")]
    return sorted({each for each in [*spans(text), *typed] if each.startswith("carex ")})


@cache
def group_of(name: str) -> Any:
    return _load(name)


@pytest.mark.parametrize(
    ("name", "row"),
    [(f"{name}{suffix}", row) for name in NAMES for suffix in (".md", ".ru.md") for row in ROWS[name]],
)
def test_every_row_of_the_old_system_has_a_way_here(name: str, row: str) -> None:
    ways = [cells[1] for cells in rows(name) if row in spans(cells[0])]
    assert ways
    assert all(ways)


@pytest.mark.parametrize(("name", "command"), [(name, command) for name in PAGES for command in commands(name)])
def test_a_command_that_is_named_is_there_with_its_options(name: str, command: str) -> None:
    words = shlex.split(command.partition("#")[0])[1:]
    first = words.pop(0)
    assert first in [*COMMANDS, "deals", "demo"]
    found = group_of(first)
    while words and hasattr(found, "commands"):
        assert words[0] in found.commands, command
        found = found.commands[words.pop(0)]
    options = {option for each in found.params for option in each.opts}
    assert {word for word in words if word.startswith("-")} <= options


@pytest.mark.parametrize("name", PAGES)
def test_a_metric_that_is_named_is_there(name: str) -> None:
    text = installation_metrics(Counts({("a", "waiting"): 1}, 0.0, {"attempts:a:done": 1}), "company").decode()
    there = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    named = set(re.findall(r"`((?:company|carex)_[a-z_]+)`", page(name)))
    assert {metric for metric in named if metric not in there} == set()


@pytest.mark.parametrize("name", PAGES)
def test_a_setting_that_is_named_is_there(name: str, tmp_path: Path) -> None:
    settings = load(tmp_path, None, {}, {})
    for each in load_registry().loaded:
        if each.plugin.settings:
            settings.plugin(each.plugin.name, each.plugin.settings)
    there = {row.key for row in settings.rows()}
    cells = [cell for row in rows(name) for cell in row]
    tables = {table for cell in cells for table in re.findall(r"`\[([\w.]+)\]`", cell)}
    named = {
        f"{table}.{key}"
        for cell in cells
        for table in re.findall(r"`\[([\w.]+)\]`", cell)
        for key in re.findall(r"`(\w+)(?: = [^`]+)?`", cell)
        if key.islower()
    }
    assert tables <= {key.rpartition(".")[0] for key in there} | {"rabbitmq.routes"}
    assert named <= there


@pytest.mark.parametrize("name", PAGES[:2])
def test_an_address_that_is_named_is_there(name: str) -> None:
    named = {span.split()[1] for span in spans(page(name)) if re.match(r"(GET|POST) /", span)}
    assert named <= {*load_registry().webhooks, RETRY_ERRORS, "/metrics"}


def test_the_logs_and_queues_that_are_kept_have_their_names() -> None:
    assert {"company_main.log", "company_debug.log"} <= set(FILES)
    assert {"camunda_worker.log", "camunda_worker_errors.log"} <= set(BRIDGE_FILES)
    settings = RabbitMQSettings()
    there = {*map(queue_of, systems(settings)), settings.responses_queue}
    assert there == {row for row in ROWS[NAMES[1]] if row.endswith(".queue")}


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_say_the_same(name: str) -> None:
    english, russian = f"{name}.md", f"{name}.ru.md"
    assert commands(english) == commands(russian)
    assert [spans(row[0]) for row in rows(english)] == [spans(row[0]) for row in rows(russian)]
    blocks = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
    assert blocks.findall(page(english)) == blocks.findall(page(russian))
    assert page(english).count("\n## ") == page(russian).count("\n## ")
    assert page(english).count("\n- **") == page(russian).count("\n- **")
