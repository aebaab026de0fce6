"""Idempotency-Key of REST 3: the answer to a call that succeeded is kept for a day and given to its repetitions."""

import dataclasses
from dataclasses import dataclass

from carex_bitrix24.simulator.answer import Answer
from carex_bitrix24.simulator.call import Refusal

KEPT_SECONDS = 86_400.0
LONGEST_KEY = 255


@dataclass(frozen=True)
class _Kept:
    at: float
    body: bytes
    answer: Answer


class Replays:
    """Answers by method and key. Two calls with one key that run at the same time both run, as documented."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], _Kept] = {}

    def find(self, method: str, key: str, body: bytes, now: float) -> Answer | None:
        """Return the kept answer; refuse a bad key, and a used key with another body."""
        if not 1 <= len(key) <= LONGEST_KEY or not all(" " <= letter <= "~" for letter in key):
            raise Refusal("INVALIDIDEMPOTENCYKEY", "The idempotency key must be 1 to 255 printable ASCII characters")
        kept = self._kept.get((method, key))
        if kept is None or kept.at + KEPT_SECONDS <= now:
            return None
        if kept.body != body:
            raise Refusal("IDEMPOTENCYKEYREUSED", "The key was already used with a different request body", 422)
        headers = {**kept.answer.headers, "idempotent-replayed": "true"}
        return dataclasses.replace(kept.answer, headers=headers)

    def keep(self, method: str, key: str, body: bytes, answer: Answer, now: float) -> Answer:
        """Keep the answer to a call that succeeded; return it with the key in its headers."""
        answer = dataclasses.replace(answer, headers={**answer.headers, "idempotency-key": key})
        if answer.status < 300:
            self._kept[method, key] = _Kept(now, body, answer)
        return answer

    def clear(self) -> None:
        """Forget all keys."""
        self._kept.clear()
