"""What `carex doctor` asks 1C."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from carex import BpmnError, Fail, Finding, Retry, Wait
from carex_onec import plugin

if TYPE_CHECKING:
    from carex_onec.client import Infobase


@plugin.check
async def check(infobase: Infobase) -> list[Finding]:
    """Whether OData and the HTTP service answer, and whether the password travels in the open."""
    settings = infobase.settings
    if not settings.url:
        return []
    found = [await _ping(infobase, settings.ping)] if settings.ping else []
    if not any(each.fix for each in found):
        found.append(await _odata(infobase, needed=not settings.ping))
    place = urlsplit(infobase.url)
    if place.scheme.lower() == "http" and place.hostname not in ("localhost", "127.0.0.1", "::1"):
        found.append(Finding("The password travels unencrypted.", "Use https in plugins.onec.url."))
    return found


async def _ping(infobase: Infobase, path: str) -> Finding:
    try:
        answer = await infobase.call("GET", path, repeatable=True)
    except (Wait, Retry, Fail) as error:
        return Finding(f"{infobase.url}: {error.reason}", "See plugins.onec in carex.toml, and the README of onec.")
    fix = "" if answer.status < 300 else "See whether the service is published, and plugins.onec.ping."
    return Finding(f"HTTP service {infobase.url}/hs/{path} says {answer.status}", fix)


async def _odata(infobase: Infobase, needed: bool) -> Finding:
    """Who has HTTP services may do without."""
    try:
        names = (await infobase.get("")).get("value") or []
    except (Wait, Retry, Fail, BpmnError) as error:
        fix = "See plugins.onec in carex.toml, and the README of onec."
        return Finding(f"{infobase.url}: {error.reason}", fix if needed else "")
    fix = "" if names else "Publish some: УстановитьСоставСтандартногоИнтерфейсаOData."
    async with infobase.sessions.one() as session:
        kept = "sessions are kept" if session.cookie else "1C gives no session to keep"
    return Finding(f"OData at {infobase.url} has {len(names)} entities for {infobase.settings.user}; {kept}", fix)
