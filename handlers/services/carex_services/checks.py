"""What `carex doctor` says about the mail server and the hosts. Nothing is sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from carex import Finding, Wait
from carex_services import plugin

if TYPE_CHECKING:
    from carex_services import Outside


@plugin.check
async def mail_server(outside: Outside) -> list[Finding]:
    """Connect, encrypt and log in, if there is a mail server."""
    if not outside.post.is_set_up:
        return []
    try:
        async with outside.post.session():
            return [Finding(f"mail goes through {outside.post.name}")]
    except Wait as outcome:
        return [Finding(outcome.reason, "Mend smtp_host, smtp_port, smtp_security or who logs in.")]


@plugin.check
async def hosts(outside: Outside) -> list[Finding]:
    """Look up the hosts that may be called."""
    entries = outside.web.entries
    problems = await asyncio.gather(*(outside.web.look_up(each) for each in entries))
    return [
        Finding(f"{entry.written}: {problem}", "Mend http_hosts or http_networks.")
        if problem
        else Finding(f"{entry.written} may be called")
        for entry, problem in zip(entries, problems, strict=True)
    ]
