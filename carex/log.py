"""The log: a console for people or programs, `logs/company_main.log` from INFO up, `logs/company_debug.log` from DEBUG.

Handlers and everything else write through loguru, or through the standard library, which is led into it; `setup`
decides where that goes. One record is one line, no configured secret is in it, and a full disk stops nobody.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from carex.errors import ConfigError
from carex.masking import hide, redact

__all__ = ["lines", "redact", "setup"]

if TYPE_CHECKING:
    from loguru import Message, Record

LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "SUCCESS": 25, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
FILES = {"company_main.log": "INFO", "company_debug.log": "DEBUG"}
BRIDGE_FILES = {"camunda_worker.log": "INFO", "camunda_worker_errors.log": "ERROR"}
"""Names in `logs/` with their threshold: of all processes but the bridge, and of the bridge."""
TALKATIVE = {"httpx": "WARNING", "httpcore": "WARNING", "aiohttp": "WARNING", "asyncio": "INFO"}
"""Libraries whose lower levels drown everything else, or hold whole URLs."""

_COLOURS = {"DEBUG": "\033[2m", "WARNING": "\033[33m", "ERROR": "\033[31m", "CRITICAL": "\033[1;31m"}
_CONTROL = {code: f"\\x{code:02x}" for code in [*range(32), *range(127, 160)]}
_CONTROL |= {code: f"\\u{code:04x}" for code in [0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]}
_CONTROL |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


@dataclass(frozen=True)
class Lines:
    """Records that share all but their message; no secret is left in them. `at` is a Unix time."""

    at: float
    level: str
    name: str
    messages: list[str]
    fields: Mapping[str, str]
    trace: str
    process: str

    def text(self) -> str:
        """`2026-11-21 23:59:59.123 | INFO | carex.worker | message | task_id=… attempt=…`, a line each."""
        before = f"{_stamp(self.at)} | {self.level} | {_escaped(self.name)} | "
        fields = {**self.fields, "exception": self.trace} if self.trace else self.fields
        after = " | " + " ".join(f"{key}={_escaped(value)}" for key, value in fields.items()) if fields else ""
        return before + f"{after}\n{before}".join(map(_escaped, self.messages)) + after + "\n"

    def json(self) -> str:
        """A JSON object a line, with the same fields by name, the process, and the time with its zone."""
        zone = time.strftime("%z", time.localtime(self.at))
        head = {"time": _stamp(self.at).replace(" ", "T") + zone, "level": self.level, "logger": self.name}
        rest = {**self.fields, "process": self.process, **({"exception": self.trace} if self.trace else {})}
        made = [json.dumps({**head, "message": each, **rest}, ensure_ascii=False) for each in self.messages]
        return "\n".join(made) + "\n"

    def coloured(self) -> str:
        """For eyes: the time of day, the level by colour, and a traceback below, indented."""
        head = f"{_stamp(self.at)[11:19]} {_COLOURS.get(self.level, '')}{self.level:<8}\033[0m "
        fields = "".join(f"  {key}={_escaped(value)}" for key, value in self.fields.items())
        trace = "".join(f"    {_escaped(line)}\n" for line in self.trace.splitlines())
        return "".join(f"{head}{_escaped(each)}\033[2m{fields}\033[0m\n" for each in self.messages) + trace


class Outlet(Protocol):
    """Somewhere lines go. `write` never raises."""

    threshold: int

    def write(self, lines: Lines) -> None: ...


class Console:
    """Standard error."""

    def __init__(self, level: str, format: str) -> None:
        self.threshold = LEVELS[level]
        self._format = format

    def write(self, lines: Lines) -> None:
        stream = sys.stderr
        try:
            if self._format == "json":
                stream.write(lines.json())
            else:
                stream.write(lines.coloured() if stream.isatty() else lines.text())
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # nobody reads it any more, or there is none


class LogFile:
    """A file that several processes append to: whole lines, one write each. Reopened when it was moved or deleted."""

    def __init__(self, path: Path, level: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.threshold = LEVELS[level]
        self.path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._torn = False
        self._checked = clock()
        self._file = self._open()

    def write(self, lines: Lines) -> None:
        data = lines.text().encode("utf-8", "backslashreplace")
        with self._lock:
            try:
                self._follow()
                data = b"\n" + data if self._torn else data
                self._torn = os.write(self._file, data) < len(data)  # a full disk took half: start a line afresh
            except OSError:
                pass  # work goes on without a log

    def close(self) -> None:
        with self._lock:
            os.close(self._file)
            self._file = -1  # the number may soon be another file's

    def _follow(self) -> None:
        """Once a second, see whether the path still leads to the file that is open."""
        now = self._clock()
        if now - self._checked < 1.0:
            return
        self._checked = now
        try:
            same = os.path.samestat(os.stat(self.path), os.fstat(self._file))
        except FileNotFoundError:
            same = False
        if not same:
            fresh = self._open()
            os.close(self._file)
            self._file, self._torn = fresh, False

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


class Log:
    """Where one process's records go."""

    def __init__(self, outlets: list[Outlet], process: str) -> None:
        self.outlets = outlets
        self.lowest = min(outlet.threshold for outlet in outlets)
        self._process = process

    def write(
        self, at: float, level: str, name: str, messages: list[str], fields: Mapping[str, Any], trace: str = ""
    ) -> None:
        clean = redact("\n".join(messages)).split("\n")  # all at once, unless one has line ends of its own
        if len(clean) != len(messages):
            clean = [redact(message) for message in messages]
        plain = {key: redact(str(value)) for key, value in fields.items()}
        lines = Lines(at, level, name, clean, plain, redact(trace), self._process)
        number = LEVELS.get(level, LEVELS["INFO"])
        for outlet in self.outlets:
            if number >= outlet.threshold:
                outlet.write(lines)

    def sink(self, message: Message) -> None:
        record = message.record
        error = record["exception"]
        trace = "".join(traceback.format_exception(error.type, error.value, error.traceback)).rstrip() if error else ""
        at, level, name = record["time"].timestamp(), record["level"].name, record["name"] or "?"
        self.write(at, level, name, [record["message"]], record["extra"], trace)


_log: Log | None = None


def setup(
    home: Path,
    *,
    level: str,
    format: str,
    secrets: frozenset[str],
    name: str,
    files: Mapping[str, str] = MappingProxyType(FILES),
) -> None:
    """Send every record of this process to its places; `level` and `format` are the console's, `name` the process's.

    May be called again. Raises ConfigError if the log files cannot be opened for lack of a right.
    """
    global _log
    from loguru import logger

    opened = [_file(home / "logs" / file, threshold) for file, threshold in files.items()]
    outlets: list[Outlet] = [Console(level, format), *(file for file in opened if file)]
    hide(secrets)
    before, _log = _log, Log(outlets, name)
    logger.remove()
    # The sink formats for itself: loguru's own traceback would show the values of local variables.
    logger.add(_log.sink, level=_log.lowest, format="{message}", colorize=False, backtrace=False, diagnose=False)
    for outlet in before.outlets if before else []:
        if isinstance(outlet, LogFile):
            outlet.close()
    _lead_in()


def lines(level: str, name: str, messages: Iterable[str]) -> None:
    """Write many records at once, with one time and one write per place: the way for a line per task.

    Does nothing before `setup`.
    """
    if _log is not None and LEVELS[level] >= _log.lowest:
        found = list(messages)
        if found:
            _log.write(time.time(), level, name, found, {})


def _file(path: Path, level: str) -> LogFile | None:
    try:
        return LogFile(path, level)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return None
        raise ConfigError(
            f"{path} cannot be opened for writing: {error.strerror}.",
            f"Give the user that runs Carex the right to write in {path.parent}, or choose another folder with --home.",
        ) from None


def _lead_in() -> None:
    """Lead the standard library's logging, and exceptions that nobody caught, into the log."""
    logging.basicConfig(handlers=[_IntoLoguru()], level=logging.DEBUG, force=True)
    for name, level in TALKATIVE.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    sys.unraisablehook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


class _IntoLoguru(logging.Handler):
    """Records of the standard library's logging, as uvicorn and most libraries make them."""

    def emit(self, record: logging.LogRecord) -> None:
        from loguru import logger

        def as_named(made: Record) -> None:
            made["name"] = record.name

        level = record.levelname if record.levelname in LEVELS else "INFO"
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # a library's mistake in its own log call must not fail anybody's work
            message = f"{record.msg} {record.args}"
        logger.patch(as_named).opt(exception=record.exc_info).log(level, "{}", message)


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: Any) -> None:
    from loguru import logger

    if error is not None and not issubclass(kind, (KeyboardInterrupt, SystemExit)):
        logger.opt(exception=(kind, error, trace)).critical("{}: nobody caught this", kind.__name__)


def _escaped(text: str) -> str:
    return text if text.isprintable() else text.translate(_CONTROL)


_second = (-1, "")


def _stamp(at: float) -> str:
    """Local time in milliseconds; the part up to the second is made once a second."""
    global _second
    whole = int(at)
    second, text = _second
    if second != whole:
        text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(whole))
        _second = (whole, text)
    return f"{text}.{int(at * 1000) % 1000:03d}"
