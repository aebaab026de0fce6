"""logrotate: a file for the logs, as long and as large as the old systems kept theirs."""

from __future__ import annotations

import glob

from carex.cli.service.plan import Plan

ROTATION = """\
{mark}
# `carex service install` writes it anew.

"{logs}/*.log" {{
    su {user} {group}
    daily
    # Sooner when it is this large, where logrotate runs every hour.
    maxsize 100M
    rotate 30
    maxage 30
    nodateext
    missingok
    notifempty
    # The processes notice within a second that a file was moved and begin a new one: nobody has to be told, nothing
    # is copied. The last lines may still come into the file that was moved: it is compressed the next time.
    nocreate
    compress
    delaycompress
}}
"""


def render(plan: Plan) -> str:
    logs = glob.escape(str(plan.home / "logs"))
    return ROTATION.format(mark=plan.mark("#"), logs=logs, user=plan.user, group=plan.group)
