"""Whoever comes back to colleagues who have more open than they: how `least_loaded` lets them catch up slowly.

By its open items alone everything would go to them until they have as many as the others. So they start as if they had
as many, and half an item of that goes with each that they get: until they are even, twice the share of the others.
"""

from __future__ import annotations

from collections.abc import Mapping

from carex.database import Connection
from carex.people.inputs import Inputs, Share

BY = "least_loaded"
STEP = 0.5


def lifted(shares: Mapping[int, Share], before: Inputs | None, chosen: int = 0) -> dict[int, Share]:
    """The candidates with what to count on top of their open items; `before` and `chosen` are of the decision before.

    It only ever lifts somebody up to the least burdened of those who were there all the time, weights considered.
    """
    was = before.candidates if before else shares
    lifts = {id: max(0.0, was[id].lift - (STEP if id == chosen else 0)) for id in shares if id in was}
    settled = [shares[id] for id, lift in lifts.items() if lift == 0 and shares[id].weight > 0]
    floor = min((share.load / share.weight for share in settled), default=0.0)  # without them all begin anew
    found = {}
    for id, share in shares.items():
        most = max(0.0, floor * share.weight - share.load)
        found[id] = Share(share.weight, share.load, min(most, lifts.get(id, most)))
    return found


def last_turn(connection: Connection, pool: str) -> tuple[Inputs | None, int]:
    """From what the pool's latest decision by `least_loaded` was made, and who was chosen."""
    row = connection.execute(
        "SELECT draw, candidates, inputs, user_id FROM decisions"
        " WHERE id = (SELECT max(turn) FROM turns WHERE pool = ? AND strategy = ?)",
        (pool, BY),
    ).fetchone()
    return (Inputs.of(row["draw"], row["candidates"], row["inputs"]), row["user_id"]) if row else (None, 0)
