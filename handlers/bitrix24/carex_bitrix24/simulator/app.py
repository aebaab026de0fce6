"""The portal as an ASGI application: `/rest/…` for clients, `/__sim/…` for whoever steers a test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from carex_bitrix24.simulator import scenario
from carex_bitrix24.simulator.door import Door

if TYPE_CHECKING:
    from carex_bitrix24.simulator.portal import Portal


def build_app(portal: Portal) -> Starlette:
    """Return the application. The admin side does not count against the portal's limits."""
    admin = Admin(portal)
    routes = [
        Route("/state", admin.state),
        Route("/ledger", admin.ledger),
        Route("/faults", admin.faults, methods=["POST", "DELETE"]),
        Route("/items", admin.items, methods=["POST"]),
        Route("/employees", admin.employees, methods=["POST"]),
        Route("/meanwhile", admin.meanwhile, methods=["POST"]),
        Route("/subscriptions", admin.subscriptions, methods=["POST"]),
        Route("/by_hand", admin.by_hand, methods=["POST"]),
        Route("/log", admin.log),
        Route("/reset", admin.reset, methods=["POST"]),
    ]
    return Starlette(routes=[Mount("/__sim", routes=routes), Mount("/", app=Door(portal))])


class Admin:
    """What a test in another process can see and do."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal

    async def state(self, request: Request) -> Response:
        """GET: items, people, counts."""
        return JSONResponse(scenario.state(self.portal))

    async def ledger(self, request: Request) -> Response:
        """GET: changes, calls, who got what; `?entity_type_id=` chooses the type, deals by default."""
        type_id = request.query_params.get("entity_type_id", "2")
        if not type_id.isdecimal():
            return _wrong(f"entity_type_id is a number such as 2, not {type_id!r}")
        return JSONResponse(scenario.ledger(self.portal, int(type_id)))

    async def faults(self, request: Request) -> Response:
        """POST: add one fault or a list of them. DELETE: take all away."""
        if request.method == "DELETE":
            self.portal.faults.clear()
            return JSONResponse({"ok": True})
        return await self._apply(request, "faults")

    async def items(self, request: Request) -> Response:
        """POST: add one item or a list, or say that some are missing or denied."""
        return await self._apply(request, "items")

    async def employees(self, request: Request) -> Response:
        """POST: change one person or a list of them."""
        return await self._apply(request, "employees")

    async def meanwhile(self, request: Request) -> Response:
        """POST: let somebody change an item by hand right before or after a call."""
        return await self._apply(request, "meanwhile")

    async def subscriptions(self, request: Request) -> Response:
        """POST: have events, or a robot's form, posted to a URL."""
        return await self._apply(request, "subscriptions")

    async def by_hand(self, request: Request) -> Response:
        """POST: change an item as a person does, now."""
        return await self._apply(request, "by_hand")

    async def log(self, request: Request) -> Response:
        """GET: each request and what it got; `?after=` leaves out those up to this number."""
        after = request.query_params.get("after", "0")
        if not after.isdecimal():
            return _wrong(f"after is the number of a request, not {after!r}")
        return JSONResponse(scenario.log(self.portal, int(after)))

    async def reset(self, request: Request) -> Response:
        """POST: an untouched portal again."""
        self.portal.reset()
        return JSONResponse({"ok": True})

    async def _apply(self, request: Request, part: str) -> Response:
        try:
            given = json.loads(await request.body())
            scenario.apply(self.portal, {part: given if isinstance(given, list) else [given]})
        except (ValueError, TypeError, KeyError) as error:
            return _wrong(f"{part}: {error}")
        return JSONResponse({"ok": True})


def _wrong(text: str) -> Response:
    return JSONResponse({"error": text}, 400)
