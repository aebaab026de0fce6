"""The alert rules as they are written; `tests/system/prometheus` has what Prometheus says to them."""

from __future__ import annotations

import re

import pytest

from carex.alerts import GROUPS, Rule, as_yaml, groups
from carex.cli import COMMANDS
from carex.cli.metrics import catalogue

RULES = [rule for group in GROUPS.values() for rule in group]
STANDARD = {"up", "process_start_time_seconds"}
"""What Prometheus itself, and every process of prometheus_client, has."""
of_each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.alert)


def measured(prefix: str) -> set[str]:
    """The names of metrics in all expressions."""
    texts = " ".join(rule["expr"] for group in groups(prefix) for rule in group["rules"])
    words = set(re.findall(r"[a-z_]+", re.sub(r'"[^"]*"', "", texts)))
    return {word for word in words if word.startswith((f"{prefix}_", "carex_", "process_")) or word == "up"}


def test_no_name_is_given_twice() -> None:
    assert len({rule.alert for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("prefix", ["company", "acme"])
def test_rules_measure_what_carex_exports_under_the_prefix_that_is_set(prefix: str) -> None:
    assert measured(prefix) - STANDARD <= {metric.name for metric in catalogue(prefix)}
    assert f"{prefix}_tasks_in_queue_errors" in measured(prefix)


@of_each_rule
def test_a_rule_names_a_command_to_begin_with(rule: Rule) -> None:
    program, command, *_ = rule.run.split()
    assert program == "carex"
    assert command in COMMANDS


@of_each_rule
def test_a_rule_says_it_in_russian_too(rule: Rule) -> None:
    assert re.search("[а-я]", rule.summary_ru)


def test_a_quote_does_not_end_a_text() -> None:
    assert "summary: 'A system''s limit is used up'" in as_yaml("company")


def test_every_metric_says_what_it_means_and_who_has_it() -> None:
    found = list(catalogue())
    assert [metric.name for metric in found if not (metric.meaning and metric.process)] == []
    assert {metric.name: metric.labels for metric in found}["carex_attempts_total"] == ("type", "outcome")


def test_what_is_new_has_no_id_nor_name_in_a_label() -> None:
    assert {label for metric in catalogue() for label in metric.labels} == {
        *("le", "type", "state", "outcome", "version", "system", "what", "receipt", "result", "done")
    }
