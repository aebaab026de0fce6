"""Where settings come from: flags, the environment, `.env` and `carex.toml`; each value with the place it was found."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from carex.errors import ConfigError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

PLUGINS = "plugins."


@dataclass(frozen=True)
class Given:
    """A value, and where it was found: `flag --port`, `env LOG_LEVEL`, `.env:3`, `carex.toml:12`."""

    value: Any
    origin: str


@dataclass(frozen=True)
class Sources:
    """Everything that was given, in the order of precedence."""

    home: Path
    flags: Mapping[str, Any]
    environ: Mapping[str, str]
    dotenv: Mapping[str, tuple[str, int]]
    """Values with their lines."""
    file: str
    """The TOML file's name as errors show it."""
    tables: Mapping[str, Any]
    lines: Mapping[str, int]
    """The line of each dotted key of the TOML file."""

    def find(self, key: str, field: FieldInfo) -> Given | None:
        """What was given for `server.port`; an empty variable counts as not given."""
        if self.flags.get(key) is not None:
            return Given(self.flags[key], f"flag {_flag(key)}")
        for variables in self._variables:
            for name in filter(None, [env_name(key), kept_name(field)]):
                for each in (name, f"{name}_FILE"):
                    text, origin = variables.get(each, ("", ""))
                    if text:
                        return Given(_parsed(text if each == name else self._content(text, origin), field), origin)
        table: Any = self.tables
        for part in key.split("."):
            if not isinstance(table, Mapping) or part not in table:
                return None
            table = table[part]
        return Given(table, self.place(key))

    def place(self, key: str) -> str:
        """`carex.toml:12`: the line of a key, or of the table it is in."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return f"{self.file}:{self.lines[key]}" if key else self.file

    def unknown_keys(self, table: str, known: Iterable[str]) -> list[str]:
        """Complaints about the keys of one TOML table, '' being the top."""
        found: Any = self.tables
        for part in filter(None, table.split(".")):
            found = found.get(part, {})
            if not isinstance(found, Mapping):
                return [f"{self.place(table)}: {table} must be a table: [{table}]."]
        dot = f"{table}." if table else ""
        known = [f"{dot}{name}" for name in known]
        wrong = [f"{dot}{name}" for name in found if f"{dot}{name}" not in known]
        return [f"{self.place(key)}: unknown setting {key}.{_suggestion(key, known)}" for key in wrong]

    def unknown_variables(self, known: Iterable[str], prefix: str, besides: str | None = None) -> list[str]:
        """Complaints about variables that start with `prefix`, not with `besides`, and name none of the known keys."""
        names = [env_name(key) for key in known]
        run_together = {name.replace("_", ""): name for name in names}
        complaints = []
        for name, (_, origin) in [each for variables in self._variables for each in variables.items()]:
            if not name.startswith(prefix) or (besides and name.startswith(besides)):
                continue
            if name in names or name.removesuffix("_FILE") in names:
                continue
            slip = run_together.get(name.replace("_", ""))
            if slip or "__" in name:
                hint = f" Did you mean {slip}?" if slip else _suggestion(name, names)
                complaints.append(f"{origin}: unknown setting {name}.{hint}")
        return complaints

    def texts(self) -> Iterable[str]:
        """Every string of every source, for the search for secrets."""
        yield from self.environ.values()
        yield from (text for text, _ in self.dotenv.values())
        yield from _strings(self.tables)

    @cached_property
    def _variables(self) -> list[dict[str, tuple[str, str]]]:
        """Each variable's text and origin: the environment's, then those of `.env`."""
        return [
            {name: (text, f"env {name}") for name, text in self.environ.items()},
            {name: (text, f".env:{line}") for name, (text, line) in self.dotenv.items()},
        ]

    def _content(self, path: str, origin: str) -> str:
        """A secret kept in a file, as container platforms and systemd hand them over."""
        try:
            return (self.home / path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError(f"{origin}: the file named there cannot be read: {reason}.") from None


def gather(home: Path, config: Path | None, flags: Mapping[str, Any], environ: Mapping[str, str]) -> Sources:
    """Read the files. Raises ConfigError for a file that is broken, or that was asked for and is not there."""
    path = config or home / "carex.toml"
    file = str(path.relative_to(home)) if path.is_relative_to(home) else str(path)
    text = _read(path, file)
    if text is None and config is not None:
        raise ConfigError(f"{file}: there is no such file.", "`carex init` writes one into the home folder.")
    dotenv = _dotenv(_read(home / ".env", ".env") or "")
    return Sources(home, flags, environ, dotenv, file, _toml(text or "", file), _key_lines(text or ""))


def env_name(key: str) -> str:
    """`server.port` as a variable: `CAREX_SERVER__PORT`."""
    return f"CAREX_{key.upper().replace('.', '__')}"


def kept_name(field: FieldInfo) -> str | None:
    """The older name of a setting's variable, declared as `json_schema_extra={"env": "LOG_LEVEL"}`."""
    extra = field.json_schema_extra
    name = extra.get("env") if isinstance(extra, dict) else None
    return str(name) if name else None


def _flag(key: str) -> str:
    """Several commands have `--log-format`; `--port` is one command's own."""
    section, _, name = key.partition(".")
    return f"--{f'{section}-{name}' if section in ('log', 'metrics') else name}".replace("_", "-")


def _parsed(text: str, field: FieldInfo) -> Any:
    """A variable's text as the field's type wants it: lists are JSON or separated by commas, tables are JSON."""
    kinds = [get_origin(kind) or kind for kind in (field.annotation, *get_args(field.annotation))]
    is_list = any(kind in (list, tuple, set, frozenset) for kind in kinds)
    is_table = any(kind is dict or hasattr(kind, "model_fields") for kind in kinds)
    if (is_list and text.lstrip().startswith("[")) or is_table:
        try:
            return json.loads(text)
        except ValueError:
            return text  # the model says what it expected
    return [part.strip() for part in text.split(",") if part.strip()] if is_list else text


def _read(path: Path, name: str) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{name} cannot be read: {reason}.") from None


def _dotenv(text: str) -> dict[str, tuple[str, int]]:
    """Values are taken as they stand: a $ in a password is a $."""
    import io

    from dotenv.parser import parse_stream

    found = {}
    for each in parse_stream(io.StringIO(text)):
        line = each.original.line + len(each.original.string) - len(each.original.string.lstrip("\n"))
        if each.error:
            raise ConfigError(f".env:{line}: this line is not NAME=value.")
        if each.key and each.value is not None:
            found[each.key] = (each.value, line)
    return found


def _toml(text: str, file: str) -> dict[str, Any]:
    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        return dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        at = re.search(r" \(at line (\d+), column \d+\)", str(error))
        where = f"{file}:{at.group(1)}" if at else file
        reason = str(error).replace(at.group() if at else "", "")
        if re.search("Cannot declare .* twice", reason):
            reason += ". The file has this table already: put the lines below its other heading"
        raise ConfigError(f"{where}: not valid TOML: {reason}.") from None


def _key_lines(text: str) -> dict[str, int]:
    """The line of every dotted key. The parser does not tell; this reads headers and `key =` line by line."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([\w.\"' -]+?)\s*\]+\s*(#.*)?$", line)
        entry = re.match(r"\s*([\w.\"' -]+?)\s*=", line)
        if header:
            table = _plain(header.group(1))
            found.setdefault(table, number)
        elif entry:
            found.setdefault(f"{table}.{_plain(entry.group(1))}".lstrip("."), number)
    return found


def _plain(key: str) -> str:
    return re.sub(r"[\"' ]", "", key)


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), 1)
    return f" Did you mean {near[0]}?" if near else " The commented carex.toml lists what there is."


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list)):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(each)
