"""What `carex doctor` asks OpenProject."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from carex import Fail, Finding
from carex_openproject import plugin

if TYPE_CHECKING:
    from carex_openproject.client import OpenProject


@plugin.check
async def check(client: OpenProject) -> list[Finding]:
    """Who we are there, whether the token travels in the open, and whether the marker field exists."""
    from carex_openproject.client import filters

    if not client.settings.url and not client.settings.token:
        return []
    root, me = await client.get(""), await client.get("users/me")
    version = root.get("coreVersion") or "of unknown version"
    found = [Finding(f"OpenProject {version} at {client.url} knows us as {me.get('name')} ({me.get('id')})")]
    place = urlsplit(client.url)
    if place.scheme.lower() == "http" and place.hostname not in ("localhost", "127.0.0.1", "::1"):
        found.append(Finding("The token travels unencrypted.", "Use https in plugins.openproject.url."))
    field = client.settings.marker_field
    if field:
        try:
            await client.get("work_packages", filters=filters(field, "=", "carex"), pageSize=1)
        except Fail:
            fix = "Create a text field of work packages, and set plugins.openproject.marker_field to customFieldID."
            found.append(Finding(f"OpenProject has no text field {field} to search for.", fix))
    return found
