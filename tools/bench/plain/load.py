"""`python -m plain.load PORT CONNECTIONS SECONDS FIRST_DEAL`: calls /CarexRandom, each connection one call at a time.

Every call has a deal of its own. Prints {"calls", "accepted", "rate", "p50", "p99"}; times are in milliseconds. It is
written on the bare protocol, so that the server is the slower of the two.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import sys
import time

WARM_UP = 0.3


class Caller(asyncio.Protocol):
    """One connection: sends the next call when the last one is answered, until the time is over."""

    def __init__(self, deals: itertools.count[int], end: float) -> None:
        self.deals = deals
        self.end = end
        self.times: list[tuple[float, float]] = []
        self.accepted = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.call()

    def call(self) -> None:
        self.began = time.perf_counter()
        if self.began > self.end:
            self.transport.close()
            return
        deal = next(self.deals)
        self.transport.write(
            b"POST /CarexRandom?deal_id=%d&cont_id=%d HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
            % (deal, deal + 1)
        )

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, blank, body = self.received.partition(b"\r\n\r\n")
        if not blank or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            return
        self.times.append((self.began, time.perf_counter() - self.began))
        self.accepted += head.startswith(b"HTTP/1.1 2")
        self.received = b""
        self.call()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def main(port: int, connections: int, seconds: float, first: int) -> None:
    loop = asyncio.get_running_loop()
    began = time.perf_counter() + WARM_UP
    deals, end = itertools.count(first), began + seconds
    callers = [
        (await loop.create_connection(lambda: Caller(deals, end), "127.0.0.1", port))[1] for _ in range(connections)
    ]
    await asyncio.wait_for(asyncio.gather(*(caller.over for caller in callers)), WARM_UP + seconds + 20)
    times = [1000 * took for caller in callers for start, took in caller.times if start >= began]
    cuts = statistics.quantiles(times, n=100)
    found = {
        "calls": sum(len(caller.times) for caller in callers),
        "accepted": sum(caller.accepted for caller in callers),
        "rate": len(times) / seconds,
        "p50": cuts[49],
        "p99": cuts[98],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
