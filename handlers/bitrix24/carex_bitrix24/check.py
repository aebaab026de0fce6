"""What `carex doctor` asks the portal: whose webhook it is, and what it may do."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from carex import BpmnError, Fail, Finding, Retry, Wait
from carex_bitrix24 import plugin

if TYPE_CHECKING:
    from carex_bitrix24.client import Portal

NEEDED = {"crm": "everything about deals and other items"}
USEFUL = {
    "user_brief": "carex users sync, and people.sources active",
    "department": "departments in carex users sync",
    "task": "tasks in the portal",
    "im": "notifications",
    "timeman": "people.sources clock",
    "calendar": "people.sources absence",
}
SAME = {"user_brief": {"user", "user_basic"}, "task": {"tasks", "tasks_extended"}}
"""Scopes that open more of the same."""
HERE = ("localhost", "127.0.0.1", "::1")
SKEW = 60.0
"""Seconds by which the portal's clock may differ from ours: webhooks and working hours are compared with it."""


@plugin.check
async def check(portal: Portal) -> list[Finding]:
    """Whether the webhook is accepted, has the scopes it needs, and belongs to somebody who may see everything."""
    if not portal.user_id:
        return []
    found = []
    if portal.address.startswith("http://") and urlsplit(portal.address).hostname not in HERE:
        found.append(Finding("the webhook's secret travels unencrypted", "Use https in WEBHOOK_CAREX."))
    try:
        scopes = {str(each) for each in await portal.call("scope", {}, repeatable=True)}
        owner = await portal.call("profile", {}, repeatable=True)
        await portal.call("server.time", {}, repeatable=True)
    except (Wait, Retry, Fail, BpmnError) as outcome:
        return [
            *found,
            Finding(outcome.reason, "See WEBHOOK_CAREX, and the portal's Developer resources → Inbound webhook."),
        ]
    name = " ".join(filter(None, (owner.get("NAME"), owner.get("LAST_NAME"))))
    admin = "an administrator" if owner.get("ADMIN") in (True, "Y", "1", 1) else "not an administrator"
    found.append(Finding(f"{portal.address} accepts the webhook of {name} ({owner.get('ID')}), {admin}"))
    for scope, use in NEEDED.items():
        if scope not in scopes:
            found.append(Finding(f"the webhook lacks the scope {scope}: {use}", "Tick it in the webhook's settings."))
    lacking = [f"{scope} ({use})" for scope, use in USEFUL.items() if not ({scope} | SAME.get(scope, set())) & scopes]
    if lacking:
        found.append(Finding(f"scopes that it does without: {', '.join(lacking)}"))
    if abs(portal.ahead) > SKEW:
        text = f"the portal's clock is {abs(portal.ahead):.0f} s {'ahead of' if portal.ahead > 0 else 'behind'} ours"
        found.append(Finding(text, "Set this machine's clock by NTP: timedatectl set-ntp true."))
    return [*found, Finding(portal.limits)]
