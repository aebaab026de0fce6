"""The metrics and the alert rules, before a real Prometheus."""

from __future__ import annotations

import re
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from carex.alerts import groups
from carex.task import Task

RULES = {rule["alert"]: rule["expr"] for group in groups("company") for rule in group["rules"]}
CASES = Path(__file__).with_name("carex.rules_test.yml")
operaton = pytest.mark.parametrize("engine", ["operaton"], indirect=True)


def test_the_rules_are_valid(promtool: Any, rules: Path) -> None:
    code, said = promtool("check", "rules", "carex.rules.yml", folder=rules)

    assert code == 0, said
    assert f"{len(RULES)} rules found" in said


def test_the_rules_speak_when_they_should_and_are_silent_when_not(promtool: Any, rules: Path) -> None:
    shutil.copy(CASES, rules)

    code, said = promtool("test", "rules", CASES.name, folder=rules)

    assert code == 0, said


def test_every_rule_has_a_case_in_which_it_speaks() -> None:
    assert {rule for rule in RULES if f'alertname="{rule}"' in CASES.read_text()} == set(RULES)


def parts(expression: str) -> Iterator[str]:
    """What a rule measures, without the comparisons."""
    for part in expression.split(" and "):
        yield re.sub(r" (==|>=|>|<) \d+$", "", part.replace("absent", ""))


@operaton
@pytest.mark.parametrize("rule", RULES)
def test_what_a_rule_measures_is_there(rule: str, watched: Any, eventually: Callable[..., Any]) -> None:
    for part in parts(RULES[rule]):
        eventually(lambda part=part: watched.prometheus.query(part), what=part)


@operaton
@pytest.mark.parametrize("job", ["carex", "carex-worker", "carex-bridge"])
def test_the_metrics_are_as_prometheus_wants_them(job: str, watched: Any, promtool: Any) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{watched.ports[job]}/metrics", timeout=10) as answer:
        text = answer.read().decode()

    assert promtool("check", "metrics", text=text) == (0, "")


@operaton
def test_a_carex_that_works_wakes_nobody(watched: Any, eventually: Callable[..., Any]) -> None:
    eventually(lambda: len(watched.prometheus.query("up == 1")) == 3)

    evaluated = [rule for group in watched.prometheus.ask("rules")["groups"] for rule in group["rules"]]

    assert [(rule["name"], rule["lastError"]) for rule in evaluated if rule["health"] == "err"] == []
    eventually(lambda: watched.prometheus.firing() == set(), what="silence")


@operaton
def test_somebody_is_woken_when_the_last_worker_dies(watched: Any, eventually: Callable[..., Any]) -> None:
    watched.worker.kill()
    watched.installation.put(Task("bitrix_assign", {"deal_id": 2}))

    eventually(lambda: watched.prometheus.firing() >= {"CarexNoWorker", "CarexDown"}, what="an alert")
    watched.start_worker()
    eventually(lambda: not watched.prometheus.firing() & {"CarexNoWorker", "CarexDown"}, what="its end")
