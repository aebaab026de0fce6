"""The application: who may call (`gate`), what puts (`intake`), what answers (`tasks`, `health`, `docs`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from carex import __version__
from carex.errors import CarexError
from carex.queue import Queue
from carex.registry import Registry
from carex.server import docs, health, tasks
from carex.server.answers import Problem, refusal
from carex.server.gate import Gate
from carex.server.intake import Intake

if TYPE_CHECKING:
    from carex.settings import Settings


def create_app(settings: Settings, queue: Queue, registry: Registry) -> ASGIApp:
    """The ASGI application on this queue, which stays the caller's to close."""
    intake = Intake(settings, queue, registry)
    app = FastAPI(
        title="Carex", version=__version__, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.router.routes += intake.routes()
    tasks.add_routes(app, settings, queue)
    health.add_routes(app, settings, queue)
    docs.add_routes(app, registry)
    for kind in (HTTPException, Problem, CarexError, Exception):
        app.add_exception_handler(kind, _refuse)
    return Gate(_webhooks_first(intake, app), settings, registry.webhooks)


def _webhooks_first(intake: Intake, app: ASGIApp) -> ASGIApp:
    """Robots call in bursts of thousands: their path leads past the framework, which costs as much as all the rest."""

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        webhook = intake.webhooks.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if webhook is None:
            await app(scope, receive, send)
            return
        scope.update(endpoint=webhook, path_params={})
        response = await webhook(Request(scope, receive))
        await response(scope, receive, send)

    return front


async def _refuse(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        routes = [r for r in request.app.routes if isinstance(r, Route) and r.matches(request.scope)[0] != Match.NONE]
        allowed = sorted({method for route in routes for method in route.methods or ()})
        text = ", ".join(allowed)
        error = Problem(
            405, "method_not_allowed", f"Not with {request.method}.", f"Use {text}.", headers={"Allow": text}
        )
    return refusal(error)
