"""systemd: a unit for each part, with a watchdog, and no more rights than the part needs."""

from __future__ import annotations

import re
from pathlib import Path

from carex.cli.service.plan import TASKS, Part, Plan

UNIT = """\
{mark}
# `carex service install` writes it anew; changes of your own go into a drop-in: systemctl edit {unit}

[Unit]
Description=Carex {part}: {task}
# After these also means: it ends before them, and can still store what it has finished.
After=network-online.target redis-server.service redis.service rabbitmq-server.service
Wants=network-online.target
# It never gives up trying: what it needs may come back at night.
StartLimitIntervalSec=0

[Service]
Type=notify
{user}WorkingDirectory={folder}
# Settings and secrets are in carex.toml and .env of the home. Carex reads them itself: no EnvironmentFile is needed.
ExecStart=:{command}
TimeoutStartSec=180
# A process whose event loop has stood still for so long is killed and started again.
WatchdogSec=60
Restart=on-failure
RestartSec=5
# 2: wrong usage, 3: wrong settings. Starting again would not help.
RestartPreventExitStatus=2 3
# SIGTERM goes to the first process, which lets the others finish; whatever is left in the end is killed.
KillMode=mixed
TimeoutStopSec={stop}
# One process that takes too much memory is killed alone.
OOMPolicy=continue
LimitNOFILE=65536
UMask=0077

NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
# What is not allowed is an error for the handler that tries it, and not the end of the process.
SystemCallErrorNumber=EPERM
{fence}
[Install]
WantedBy={target}
"""
FENCE = """\
CapabilityBoundingSet={rights}
AmbientCapabilities={rights}
ProtectSystem=strict
ReadWritePaths={writes}
ProtectHome={home}
PrivateTmp={tmp}
PrivateDevices=yes
PrivateMounts=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
"""
"""What only the system's own systemd can do; one of a user has not the rights."""
FIRST_FREE_PORT = 1024


class Systemd:
    """The system's systemd, or with `user` that of the user who asks."""

    title = "systemd"

    def __init__(self, user: bool) -> None:
        self._user = user
        self._systemctl = ["systemctl", *(["--user"] if user else [])]
        self.folders = [Path("~/.config/systemd/user").expanduser() if user else Path("/etc/systemd/system")]
        self.is_system = not user
        self.probe = [*self._systemctl, "show", "--property=Version"]

    def filename(self, name: str) -> str:
        return f"{name}.service"

    def render(self, plan: Plan, part: Part) -> str:
        return UNIT.format(
            mark=plan.mark("#"),
            unit=f"{plan.name}-{part}",
            part=part,
            task=TASKS[part],
            user="" if self._user else f"User={plan.user}\nGroup={plan.group}\n",
            folder=_escaped(str(plan.home)),
            command=" ".join(map(_quoted, plan.command(part))),
            stop=plan.stop,
            fence="" if self._user else _fence(plan, part),
            target="default.target" if self._user else "multi-user.target",
        )

    def begin(self, names: list[str], changed: list[str]) -> list[list[str]]:
        """The commands that take the files into use."""
        kept = [name for name in names if name not in changed]
        return [
            [*self._systemctl, "daemon-reload"],
            [*self._systemctl, "enable", *names],
            *([[*self._systemctl, "restart", *changed]] if changed else []),
            *([[*self._systemctl, "start", *kept]] if kept else []),
        ]

    def before_removal(self, names: list[str]) -> list[list[str]]:
        return [[*self._systemctl, "disable", "--now", *names]]

    def after_removal(self, names: list[str]) -> list[list[str]]:
        return [[*self._systemctl, "daemon-reload"]]

    def ask(self, name: str) -> list[str]:
        return [*self._systemctl, "is-active", name]

    def understand(self, answer: str) -> str:
        return answer.strip() or "unknown"


def _fence(plan: Plan, part: Part) -> str:
    below = part == "serve" and 0 < plan.port < FIRST_FREE_PORT
    return FENCE.format(
        rights="CAP_NET_BIND_SERVICE" if below else "",
        writes=" ".join(_quoted(str(path)) for path in plan.writes),
        home="read-only" if plan.lies_below("/home", "/root", "/run/user") else "yes",
        tmp="no" if plan.lies_below("/tmp", "/var/tmp") else "yes",  # noqa: S108 - nothing is written there
    )


def _escaped(text: str) -> str:
    """With `%` as it stands: it is systemd's sign for names that it fills in."""
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """One word. (`$` is none of our business: the `:` in front of the command switches it off.)"""
    return _escaped(text) if re.fullmatch(r"[\w./%@:=,+-]+", text) else f'"{_escaped(text)}"'
