"""`python -m carex_bitrix24.simulator`: a portal in a process of its own, until SIGTERM."""

import argparse
import asyncio
import json
import signal
from pathlib import Path
from urllib.parse import urljoin

from carex_bitrix24.simulator import scenario
from carex_bitrix24.simulator.portal import Portal
from carex_bitrix24.simulator.server import serve


def main() -> None:
    """Read the command line, run the portal, end when told to."""
    options = _options().parse_args()
    portal = Portal(
        rate=options.rate,
        capacity=options.capacity,
        refusals_fill=options.refusals_fill,
        stepwise=options.stepwise,
        per_address=options.per_address,
        operating_limit=options.operating_limit,
        batch_billing=options.batch_billing,
        auto_create=not options.no_auto_create,
        strict_users=options.strict_users,
        refuse_dismissed=options.refuse_dismissed,
        seed=options.seed,
        latency=options.latency,
        jitter=options.jitter,
        speed=options.speed,
        employees=options.employees,
    )
    if options.scenario:
        scenario.apply(portal, json.loads(options.scenario.read_text(encoding="utf-8")))
    asyncio.run(_run(portal, options.port))


async def _run(portal: Portal, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serve(portal, port=port) as webhook:
        print(json.dumps({"webhook": webhook, "admin": urljoin(webhook, "/__sim")}), flush=True)
        await stop.wait()


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="carex_bitrix24.simulator", description="A simulated Bitrix24 portal.")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--rate", type=float, default=2.0, help="requests a second that drain from the bucket")
    parser.add_argument("--capacity", type=float, default=50.0, help="requests that the bucket holds")
    parser.add_argument("--refusals-fill", action="store_true", help="refused requests fill the bucket too")
    parser.add_argument("--stepwise", action="store_true", help="the bucket drains once a second, not all the time")
    parser.add_argument("--per-address", action="store_true", help="a bucket for each address that calls")
    parser.add_argument("--operating-limit", type=float, default=480.0, help="seconds a method may take in ten minutes")
    parser.add_argument("--batch-billing", choices=["inner", "outer"], default="inner", help="who pays for commands")
    parser.add_argument("--no-auto-create", action="store_true", help="items exist only if the scenario says so")
    parser.add_argument("--strict-users", action="store_true", help="strangers cannot be responsible")
    parser.add_argument("--refuse-dismissed", action="store_true", help="dismissed people cannot be responsible")
    parser.add_argument("--seed", type=int, default=0, help="of the faults that happen by chance")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times faster the portal's time runs")
    parser.add_argument("--latency", type=float, default=0.05, help="real seconds from a request to its answer")
    parser.add_argument("--jitter", type=float, default=0.0, help="by chance, up to so many seconds more")
    parser.add_argument("--employees", type=int, default=8, help="how many people work there")
    parser.add_argument("--scenario", type=Path, help="a JSON file; see scenario.py")
    return parser


if __name__ == "__main__":
    main()
