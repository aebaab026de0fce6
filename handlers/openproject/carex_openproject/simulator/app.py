"""The routes of the simulated OpenProject."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from carex_openproject.simulator import projects, work_packages
from carex_openproject.simulator.answers import API, Refusal, hal, link, whole
from carex_openproject.simulator.door import behind
from carex_openproject.simulator.instance import Instance


def build_app(instance: Instance) -> Starlette:
    named = {"types": instance.types, "statuses": instance.statuses, "priorities": instance.priorities}
    endpoints = [
        ("GET", "", root),
        ("GET", "/users/me", me),
        ("GET", "/projects", projects.index),
        ("POST", "/projects", projects.create),
        ("POST", "/projects/form", projects.form),
        ("GET", "/projects/{project}", projects.show),
        ("GET", "/work_packages", work_packages.index),
        ("POST", "/work_packages", work_packages.create),
        ("GET", "/work_packages/{id:int}", work_packages.show),
        ("PATCH", "/work_packages/{id:int}", work_packages.update),
        ("POST", "/work_packages/{id:int}/form", work_packages.update_form),
        ("GET", "/work_packages/{id:int}/activities", work_packages.activities),
        ("POST", "/work_packages/{id:int}/activities", work_packages.comment),
        ("GET", "/work_packages/{id:int}/available_assignees", work_packages.available_assignees),
        *(
            entry
            for place in ("projects", "workspaces")
            for entry in (
                ("GET", f"/{place}/{{project}}/work_packages", work_packages.index),
                ("POST", f"/{place}/{{project}}/work_packages", work_packages.create),
                ("POST", f"/{place}/{{project}}/work_packages/form", work_packages.create_form),
                ("GET", f"/{place}/{{project}}/available_assignees", work_packages.available_assignees),
            )
        ),
    ]
    routes = [Route(f"{API}{path}", behind(instance, answer), methods=[method]) for method, path, answer in endpoints]
    for name, values in named.items():
        routes.append(Route(f"{API}/{name}", behind(instance, listing(name, values))))
    missing: Any = {HTTPException: unknown_path}
    return Starlette(routes=routes, exception_handlers=missing, middleware=[Middleware(GZipMiddleware)])


async def unknown_path(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return hal(Refusal(404, "NotFound", "The requested resource could not be found.").body, status)


def root(instance: Instance, request: Request, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "_type": "Root",
        "instanceName": "Simulated OpenProject",
        "coreVersion": "16.0.0",
        "_links": {"self": {"href": API}, "user": link("users", instance.me, instance.users[instance.me])},
    }


def me(instance: Instance, request: Request, body: dict[str, Any]) -> dict[str, Any]:
    return work_packages.user(instance, instance.me)


def listing(name: str, values: dict[int, str]) -> Any:
    kind = {"types": "Type", "statuses": "Status", "priorities": "Priority"}[name]

    def answer(instance: Instance, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        elements = [
            {"_type": kind, "id": id, "name": title, "_links": {"self": link(name, id, title)}}
            for id, title in values.items()
        ]
        return whole(name, elements)

    return answer
