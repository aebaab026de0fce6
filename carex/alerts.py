"""What is worth waking somebody for, as alert rules for Prometheus.

Its jobs are to be named carex…, as in `job_name: carex-worker`: one for `carex serve` (the numbers of the whole
installation), one for each port of `carex worker` and `carex camunda bridge`. A rule about something that is not used
has no data and stays silent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

GIB, MIB = 1 << 30, 1 << 20


@dataclass(frozen=True)
class Rule:
    """`lasts` is for how long it must be true, in Prometheus' words; `run` is the command to begin with.

    `page` is for now, in the night too; `ticket` is for the next working day. `expr` may have {prefix}.
    """

    alert: str
    expr: str
    lasts: str
    severity: Literal["page", "ticket"]
    summary: str
    summary_ru: str
    description: str
    run: str


PROCESSES = (
    Rule(
        "CarexDown",
        'up{{job=~"carex.*"}} == 0',
        "2m",
        "page",
        "A process of Carex gives no metrics",
        "Процесс Carex не отвечает",
        "{{ $labels.job }} at {{ $labels.instance }} is down, or the storage of its queue does not answer.",
        "carex doctor",
    ),
    Rule(
        "CarexUnwatched",
        "absent(carex_build_info)",
        "5m",
        "page",
        "Nothing is known of Carex",
        "Метрик Carex нет",
        "No `carex serve` is scraped, or none answers: the other rules are blind.",
        "carex status",
    ),
    Rule(
        "CarexRestarts",
        'changes(process_start_time_seconds{{job=~"carex.*"}}[30m]) > 3',
        "0m",
        "page",
        "A process of Carex ends again and again",
        "Процесс Carex всё время перезапускается",
        "{{ $labels.job }} at {{ $labels.instance }} was started {{ $value }} times in 30 minutes.",
        "carex doctor",
    ),
    Rule(
        "CarexDiskFull",
        f"carex_disk_free_bytes < {100 * MIB}",
        "1m",
        "page",
        "The disk of Carex is full",
        "Место на диске кончилось",
        "{{ $value | humanize1024 }}B are left: soon nothing can be stored any more.",
        "carex doctor --only home",
    ),
    Rule(
        "CarexDiskLow",
        f"carex_disk_free_bytes < {GIB}",
        "10m",
        "ticket",
        "The disk of Carex is nearly full",
        "Место на диске кончается",
        "{{ $value | humanize1024 }}B are left.",
        "carex doctor --only home",
    ),
)
QUEUE = (
    Rule(
        "CarexNoWorker",
        "carex_workers == 0 and carex_oldest_due_seconds > 0",
        "2m",
        "page",
        "Tasks wait, and no worker lives",
        "Задачи ждут, обработчиков нет",
        "Tasks are stored, and nobody takes them: start `carex worker`.",
        "carex workers",
    ),
    Rule(
        "CarexTasksWait",
        "carex_oldest_due_seconds > 900",
        "5m",
        "page",
        "Tasks wait too long",
        "Задачи ждут слишком долго",
        "A task that could run has waited for {{ $value | humanizeDuration }}.",
        "carex status",
    ),
    Rule(
        "CarexTasksFail",
        "delta({prefix}_tasks_in_queue_errors[15m]) > 0",
        "0m",
        "ticket",
        "Tasks fail",
        "Растёт очередь ошибок",
        "There are more failed tasks than 15 minutes ago; each waits for a person.",
        "carex errors list --group",
    ),
    Rule(
        "CarexCrashes",
        'sum by (type) (increase(carex_attempts_total{{outcome="crash"}}[30m])) > 0',
        "0m",
        "ticket",
        "Worker processes die",
        "Обработчик падает",
        "A process died, or was killed, while it ran {{ $labels.type }}.",
        "carex tasks list",
    ),
    Rule(
        "CarexLeasesLost",
        "increase(carex_leases_lost_total[15m]) > 0",
        "0m",
        "ticket",
        "A worker lost its leases",
        "Обработчик потерял захваченные задачи",
        "It stood still for longer than queue.lease, and others did its tasks again: see the machine's load.",
        "carex workers",
    ),
    Rule(
        "CarexLoopBlocked",
        "increase(carex_loops_given_up_total[15m]) > 0",
        "0m",
        "ticket",
        "A handler blocks its worker",
        "Задача заблокировала обработчик",
        "It held the event loop for longer than its timeout; the log names it and the line.",
        "carex errors list --group",
    ),
    Rule(
        "CarexStorageErrors",
        "increase(carex_storage_errors_total[10m]) > 5",
        "0m",
        "page",
        "The queue's storage fails",
        "Хранилище очереди (Redis, SQLite) не отвечает",
        "It left workers without an answer again and again. Nothing is lost, and nothing goes on meanwhile.",
        "carex doctor --only queue",
    ),
)
PORTAL = (
    Rule(
        "CarexSystemClosed",
        'max_over_time(carex_limiter_closures{{what="everything"}}[2m]) > 0',
        "5m",
        "page",
        "A system takes no calls",
        "Внешняя система не принимает вызовы",
        "{{ $labels.system }} does not answer, or refuses us: its tasks wait, none is lost. `carex status` says why.",
        "carex doctor",
    ),
    Rule(
        "CarexMethodClosed",
        'max_over_time(carex_limiter_closures{{what="methods"}}[2m]) > 0',
        "15m",
        "ticket",
        "A system refuses some calls",
        "Внешняя система отказывает в части вызовов",
        "{{ $labels.system }} refuses a method: a right is lacking, or its time is used up. `carex status` says why.",
        "carex doctor",
    ),
    Rule(
        "CarexLimitExhausted",
        "max_over_time(carex_limiter_room[5m]) < 1",
        "30m",
        "ticket",
        "A system's limit is used up",
        "Лимит внешней системы исчерпан",
        "For half an hour {{ $labels.system }} could not take one call more: the work is more than it allows.",
        "carex status",
    ),
    Rule(
        "CarexPortalErrors",
        "increase({prefix}_bitrix_errors_total[15m]) > 50",
        "0m",
        "ticket",
        "Many calls to Bitrix24 fail",
        "Много ошибок Битрикс24",
        "{{ $value | humanize }} calls in 15 minutes were refused or not answered.",
        "carex errors list --group",
    ),
)
RABBITMQ = (
    Rule(
        "CarexWorkerWithoutRabbitMQ",
        "carex_rabbitmq_up == 0",
        "2m",
        "page",
        "A worker has no RabbitMQ",
        "Обработчик без RabbitMQ",
        "{{ $labels.instance }} takes no messages and sends no answers.",
        "carex doctor --only rabbitmq",
    ),
    Rule(
        "CarexAnswersUnsent",
        # Under load there are always some on their way, but not ever more of them.
        "min_over_time(carex_answers_unsent[10m]) > 0 and deriv(carex_answers_unsent[10m]) >= 0",
        "10m",
        "page",
        "Answers do not reach RabbitMQ",
        "Ответы не уходят в RabbitMQ",
        "{{ $value }} answers are stored and do not get less: their processes wait.",
        "carex doctor --only rabbitmq",
    ),
    Rule(
        "CarexMessagesDead",
        "increase(carex_rabbitmq_messages_dead_total[15m]) > 0",
        "0m",
        "ticket",
        "Messages were no tasks",
        "Пришли сообщения, которые не являются задачами",
        "A worker laid messages aside; each says in its header why.",
        "carex queues",
    ),
)
BRIDGE = (
    Rule(
        "CarexBridgeWithoutEngine",
        "carex_bridge_engine_up == 0",
        "2m",
        "page",
        "The bridge has no engine",
        "Мост без движка",
        "The engine does not answer {{ $labels.instance }}: no task is fetched, no answer gets through.",
        "carex doctor --only camunda",
    ),
    Rule(
        "CarexBridgeWithoutRabbitMQ",
        "carex_bridge_broker_up == 0",
        "2m",
        "page",
        "The bridge has no RabbitMQ",
        "Мост без RabbitMQ",
        "RabbitMQ takes no messages from {{ $labels.instance }}: no task is fetched.",
        "carex doctor --only rabbitmq",
    ),
    Rule(
        "CarexBridgeFetchesNothing",
        "carex_bridge_since_poll_seconds > 300",
        "1m",
        "page",
        "The bridge does not fetch",
        "Мост не забирает задачи",
        "No fetch has succeeded for {{ $value | humanizeDuration }}.",
        "carex doctor --only camunda",
    ),
    Rule(
        "CarexTasksUndelivered",
        'sum(increase(carex_bridge_published_total{{receipt=~"returned|refused|too_large"}}[15m])) > 0',
        "0m",
        "page",
        "External tasks do not reach their queue",
        "Задачи не доходят до очередей",
        "RabbitMQ has no queue for them, its queue is full, or a task is too large for a message.",
        "carex queues",
    ),
    Rule(
        "CarexAnswersUnusable",
        'sum(increase(carex_bridge_answered_total{{result=~"dead|incident"}}[15m])) > 0',
        "0m",
        "ticket",
        "Answers are of no use",
        "Ответы не подходят движку",
        "They were laid aside, or became incidents: somebody answers in a wrong form.",
        "carex camunda tasks --failed",
    ),
    Rule(
        "CarexLocksLost",
        'sum(increase(carex_bridge_locks_total{{done="lost"}}[15m])) > 0',
        "0m",
        "ticket",
        "Locks on external tasks were lost",
        "Потеряны блокировки внешних задач",
        "Tasks are handed over again, and may be done twice: see whether somebody else fetches the same topics.",
        "carex camunda tasks --locked",
    ),
    Rule(
        "CarexWorkOverdue",
        "carex_bridge_overdue > 0",
        "15m",
        "ticket",
        "External tasks are overdue",
        "Внешние задачи просрочены",
        "{{ $value }} are older than camunda.max_work and not answered; their locks are not prolonged any more.",
        "carex camunda tasks --locked",
    ),
)
GROUPS: Mapping[str, Sequence[Rule]] = {
    "carex-processes": PROCESSES,
    "carex-queue": QUEUE,
    "carex-portal": PORTAL,
    "carex-rabbitmq": RABBITMQ,
    "carex-bridge": BRIDGE,
}


def groups(prefix: str) -> list[dict[str, Any]]:
    """The rules in the form of Prometheus' rule files; `prefix` is the setting metrics.prefix."""
    return [{"name": name, "rules": [_form(rule, prefix) for rule in rules]} for name, rules in GROUPS.items()]


def as_yaml(prefix: str) -> str:
    """A rule file."""
    lines = ["groups:"]
    for group in groups(prefix):
        lines += [f"  - name: {group['name']}", "    rules:"]
        for rule in group["rules"]:
            for number, (key, value) in enumerate(rule.items()):
                start = "      - " if number == 0 else "        "
                if isinstance(value, dict):
                    lines.append(f"{start}{key}:")
                    lines += [f"          {name}: {_quoted(text)}" for name, text in value.items()]
                else:
                    lines.append(f"{start}{key}: {_quoted(value)}")
    return "\n".join(lines) + "\n"


def _form(rule: Rule, prefix: str) -> dict[str, Any]:
    return {
        "alert": rule.alert,
        "expr": rule.expr.format(prefix=prefix),
        "for": rule.lasts,
        "labels": {"severity": rule.severity},
        "annotations": {
            "summary": rule.summary,
            "summary_ru": rule.summary_ru,
            "description": rule.description,
            "run": rule.run,
        },
    }


def _quoted(text: str) -> str:
    """A YAML scalar in which only the quote itself means anything."""
    return "'" + text.replace("'", "''") + "'"
