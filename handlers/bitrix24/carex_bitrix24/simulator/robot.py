"""The portal's robot "webhook": a form sent once to somebody's URL, unsigned and never repeated."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

_TIMEOUT = 30.0


def robot_form(
    deal_id: int,
    *,
    domain: str = "portal.example",
    member_id: str = "a223c6b3710f85df22e9377d6c4f7553",
    document: str = "CCrmDocumentDeal",
    prefix: str = "DEAL",
) -> dict[str, str]:
    """Return the form body that a robot on a deal sends; for a lead say CCrmDocumentLead and LEAD."""
    return {
        "document_id[0]": "crm",
        "document_id[1]": document,
        "document_id[2]": f"{prefix}_{deal_id}",
        "auth[domain]": domain,
        "auth[client_endpoint]": f"https://{domain}/rest/",
        "auth[server_endpoint]": "https://oauth.bitrix.info/rest/",
        "auth[member_id]": member_id,
    }


def robot_url(
    url: str, deal_id: int, contact_id: int | str | None = None, extra_query: Mapping[str, str] | None = None
) -> str:
    """Return the URL with what its author would have put there: with a contact given, `deal_id` and `cont_id`."""
    query: dict[str, str] = {}
    if contact_id is not None:
        query = {"deal_id": str(deal_id), "cont_id": str(contact_id)}
    added = httpx.QueryParams(query | dict(extra_query or {}))
    if not added:
        return url
    return url + ("&" if urlsplit(url).query else "?") + str(added)


async def post(
    url: str,
    deal_id: int,
    contact_id: int | str | None = None,
    extra_query: Mapping[str, str] | None = None,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
) -> int | None:
    """Send the robot's form once; return the status, or None if no answer came."""
    target = robot_url(url, deal_id, contact_id, extra_query)
    return await post_form(target, robot_form(deal_id), transport=transport)


async def post_form(
    url: str, form: Mapping[str, str], *, transport: httpx.AsyncBaseTransport | None = None
) -> int | None:
    """Send a form once; return the status, or None if no answer came."""
    async with httpx.AsyncClient(transport=transport, verify=_trust(), trust_env=False, timeout=_TIMEOUT) as client:
        try:
            answer = await client.post(url, data=dict(form))
        except httpx.HTTPError:
            return None
    return answer.status_code


@functools.cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()
