"""What can go wrong between Carex and a person, and the exit code of each.

    CarexError            1   failed
    ├── UsageError        2   the command or request was put wrongly
    ├── ConfigError       3   a setting is missing, unknown or unfit
    ├── NotFound          4   no such task, user, handler …
    ├── Refused           5   the state of things does not allow it
    ├── Unreachable       6   a service, or the storage, does not answer
    └── PartlyFailed      7   some of it was done

How an *attempt* at a task ends is not an error but an outcome: see `carex.task`.
"""

from __future__ import annotations


class CarexError(Exception):
    """Something a person has to know; `hint` says what to try."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n→ {self.hint}" if self.hint else self.message


class UsageError(CarexError):
    exit_code = 2


class ConfigError(CarexError):
    exit_code = 3


class NotFound(CarexError):
    exit_code = 4


class Refused(CarexError):
    exit_code = 5


class Unreachable(CarexError):
    exit_code = 6


class PartlyFailed(CarexError):
    exit_code = 7
