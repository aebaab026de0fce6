"""supervisor: a program section for each part, as the old deal distributor had it."""

from __future__ import annotations

import shlex
from pathlib import Path

from carex.cli.service.plan import TASKS, Part, Plan
from carex.errors import ConfigError

PROGRAM = """\
{mark}
; `carex service install` writes it anew. Carex {part}: {task}.

[program:{name}]
; Settings and secrets are in carex.toml and .env of the home. Carex reads them itself.
command={command}
directory={folder}
user={user}
umask=077
autostart=true
; After a crash, yes; not after wrong usage (2) or wrong settings (3).
autorestart=unexpected
exitcodes=0,2,3
startsecs=5
startretries=100
; SIGTERM goes to the first process, which lets the others finish; whatever is left in the end is killed.
stopsignal=TERM
stopasgroup=false
killasgroup=true
stopwaitsecs={stop}
; What it says before its log is open, and a copy of the console. The log itself is in logs/, and is logrotate's.
redirect_stderr=true
stdout_logfile=AUTO
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""


class Supervisor:
    """The supervisord of the system, or another one that includes the files of a given folder."""

    title = "supervisor"
    is_system = True

    def __init__(self) -> None:
        self._ending = ".conf"
        self.folders = [Path("/etc/supervisor/conf.d"), Path("/etc/supervisord.d")]  # Debian's, and Red Hat's
        self.probe = ["supervisorctl", "pid"]

    def filename(self, name: str) -> str:
        return f"{name}.ini" if self.folders[1].is_dir() and not self.folders[0].is_dir() else f"{name}.conf"

    def render(self, plan: Plan, part: Part) -> str:
        return PROGRAM.format(
            mark=plan.mark(";"),
            part=part,
            task=TASKS[part],
            name=f"{plan.name}-{part}",
            command=" ".join(_escaped(shlex.quote(word)) for word in plan.command(part)),
            folder=_escaped(str(plan.home)),
            user=plan.user,
            stop=plan.stop,
        )

    def begin(self, names: list[str], changed: list[str]) -> list[list[str]]:
        """The commands that take the files into use; those that changed are started again."""
        return [["supervisorctl", "reread"], ["supervisorctl", "update", *names]]

    def before_removal(self, names: list[str]) -> list[list[str]]:
        return []

    def after_removal(self, names: list[str]) -> list[list[str]]:
        return [["supervisorctl", "reread"], ["supervisorctl", "update", *names]]  # which stops what is gone

    def ask(self, name: str) -> list[str]:
        return ["supervisorctl", "status", name]

    def understand(self, answer: str) -> str:
        """`carex-worker   RUNNING   pid 12, uptime 0:00:07`"""
        words = answer.split()
        return words[1].lower() if len(words) > 1 else "unknown"


def _escaped(text: str) -> str:
    """With `%` as it stands: it is supervisor's sign for names that it fills in."""
    if " ;" in text or " #" in text:
        raise ConfigError(
            f"{text!r} cannot stand in supervisor's file: a comment would begin in it.",
            "Move it to a folder with a plainer name, or use --kind systemd.",
        )
    return text.replace("%", "%%")
