"""Measures Carex beside others, on this machine and in one run.

plain   durable intake against a plain FastAPI server (LPUSH), the drain of no-op tasks against a plain BRPOP loop
peers   Carex on SQLite and on Redis beside dramatiq, taskiq, streaq, arq and saq
floor   raw SQLite and raw Redis at the batch size that Carex uses

Every contender has its own environment, folders and Redis (AOF, everysec). All are measured in interleaved rounds and
by the same programs. A drain is timed in the worker, from its first handler's end to its last one's, with all tasks
queued before it starts. A difference of less than 1.7 times means little on a machine that does other things too.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import picture
import report
import steps
from contenders import CAREX, ONCE, PEERS, PLAIN, PLAIN_ALWAYS, PLAIN_STANDARD, Contender
from environments import Unavailable, cache_folder, prepare
from intake import intake
from rounds import Outcome, Step, measure, say
from steps import Failed, Sizes, run, stage

FLOORS = {
    "sqlite_insert_1": "SQLite: insert 1 a commit",
    "sqlite_insert_100": "SQLite: insert 100 a commit",
    "sqlite_claim_update_100": "SQLite: claim 100 and update 100 a commit",
    "sqlite_claim_then_update_100": "SQLite: claim 100 a commit, update 100 a commit",
    "sqlite_claim_delete_100": "SQLite: claim 100 and delete 100 a commit",
    "redis_put_1": "Redis: XADD 1 a round trip",
    "redis_put_100": "Redis: XADD 100 a pipeline",
    "redis_read_ack_delete_100": "Redis: XREADGROUP 100, XACK and XDEL in a pipeline",
}


def main() -> int:
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what we started is ended
    sizes = Sizes.small() if options.small else Sizes()
    outcome, tables = {"plain": plain, "peers": peers, "floor": floor}[options.what](options, sizes)
    if options.small:
        say("These figures mean nothing: --small measures too little.")
    if options.json:
        options.json.write_text(json.dumps(report.as_json(options.what, outcome), indent=1) + "\n")
    if options.picture:
        options.picture.write_text(picture.draw(outcome, PICTURED))
    if options.markdown:
        print(report.markdown(tables))
    else:
        report.show(tables)
    return 1 if outcome.problems else 0


PICTURED = [each for each in report.PEERS if each.key not in ("drain_cpu", "p99", "backlog", "idle")]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "tools/bench/run", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("plain", "peers", "floor"))
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="interleaved rounds (5)")
    parser.add_argument("--small", action="store_true", help="only see whether everything works")
    parser.add_argument("--only", metavar="NAME,…", help="only these contenders, for instance carex-sqlite,saq")
    parser.add_argument("--once", action="store_true", help="peers: rq, huey and celery too, in the first round")
    parser.add_argument("--venvs", type=Path, default=cache_folder(), metavar="DIR", help="where environments are kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="peers: write an SVG picture")
    parser.add_argument("--markdown", action="store_true", help="print Markdown instead of tables for the terminal")
    options = parser.parse_args()
    if options.picture and options.what != "peers":
        parser.error("--picture is for peers.")
    return options


def chosen(options: argparse.Namespace, among: Sequence[Contender]) -> list[Contender]:
    names = options.only.split(",") if options.only else [each.name for each in among]
    known = {each.name: each for each in among}
    for name in names:
        if name not in known:
            raise SystemExit(f"--only: there is no {name!r} here; there are {', '.join(known)}.")
    return [known[name] for name in names]


def plain(options: argparse.Namespace, sizes: Sizes) -> tuple[Outcome, list[report.Table]]:
    def steps_of(contender: Contender, number: int) -> list[Step]:
        return [intake, steps.put_many_and_drain] if contender in (CAREX[0], PLAIN) else [intake]

    contenders = chosen(options, [CAREX[0], PLAIN, PLAIN_ALWAYS, PLAIN_STANDARD])
    outcome = measure(contenders, steps_of, lambda _: None, rounds=options.rounds, sizes=sizes, venvs=options.venvs)
    measures = (*report.INTAKE, *report.DRAIN)
    title = "Carex beside a plain FastAPI server (LPUSH) and a plain loop (BRPOP, JSON, a log line, a metric)"
    return outcome, [
        report.values(title, outcome, measures),
        report.ratios("To Carex / to plain", outcome, measures, [PLAIN]),
    ]


def peers(options: argparse.Namespace, sizes: Sizes) -> tuple[Outcome, list[report.Table]]:
    def steps_of(contender: Contender, number: int) -> list[Step]:
        if contender in ONCE and number > 1:
            return []
        more: list[Step] = [steps.drain_backlog] if contender.is_carex else []
        return [steps.put_one, steps.put_many_and_drain, steps.naps, steps.idle, *more]

    contenders = chosen(options, [*CAREX, *PEERS, *(ONCE if options.once else ())])
    beside = partial(floors, options=options, sizes=sizes)
    outcome = measure(contenders, steps_of, beside, rounds=options.rounds, sizes=sizes, venvs=options.venvs)
    measures, keepers = report.PEERS, [each for each in PEERS if each.keeps]
    return outcome, [
        report.values("Carex beside other queues, one worker process each", outcome, measures),
        report.ratios("To Carex / to the best peer that keeps a killed worker's tasks", outcome, measures, keepers),
        report.floor_table(outcome, FLOORS),
    ]


def floor(options: argparse.Namespace, sizes: Sizes) -> tuple[Outcome, list[report.Table]]:
    outcome = Outcome(options.rounds)
    for number in range(1, options.rounds + 1):
        say(f"round {number} of {options.rounds}")
        floors(outcome, options, sizes)
    return outcome, [report.floor_table(outcome, FLOORS)]


def floors(outcome: Outcome, options: argparse.Namespace, sizes: Sizes) -> None:
    """What storage does alone: SQLite in our environment, Redis in the plain one's, which has redis-py."""
    for script, contender, prefix in (("sqlite", CAREX[0], "sqlite"), ("redis_py", PLAIN, "redis")):
        try:
            python = prepare(contender, options.venvs)
            with stage(contender, python) as on:
                found = run([str(python), "-m", f"floor.{script}", str(sizes.many)], on.env)
            outcome.add("floor", {f"{prefix}_{key}": value for key, value in found.items()})
        except (Failed, Unavailable) as error:
            outcome.trouble(f"floor, {script}: {error}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
