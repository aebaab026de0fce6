"""Distributes deals as one writes it in an afternoon. Two ways, each with its vice when the process is killed:

`lost`: pop a deal, then act. `given to two`: keep it until it is done, and draw anew after a restart.
Arguments: the URL of Redis, the portal's webhook, the vice, and `and end` to end when there are no deals.
"""

from __future__ import annotations

import random
import sys
from typing import Any

import httpx
import redis

PEOPLE = 8
MANY = 10


def main(url: str, webhook: str, vice: str, end: str = "") -> None:
    store: Any = redis.Redis.from_url(url, decode_responses=True)
    with httpx.Client(timeout=30) as portal:
        if vice == "lost":
            while taken := store.lpop("deals", MANY):
                for deal in taken:
                    give(portal, webhook, int(deal))
        else:
            while taken := store.lrange("deals", 0, MANY - 1):
                for deal in taken:
                    give(portal, webhook, int(deal))
                store.ltrim("deals", len(taken), -1)
    while not end:
        store.blpop("never")


def give(portal: httpx.Client, webhook: str, deal: int) -> None:
    fields = {"assignedById": random.randint(1, PEOPLE)}
    portal.post(f"{webhook}crm.item.update.json", json={"entityTypeId": 2, "id": deal, "fields": fields})
    portal.post(f"{webhook}crm.item.get.json", json={"entityTypeId": 2, "id": deal})


main(*sys.argv[1:])
