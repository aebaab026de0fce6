"""What a user of openproject-api-client writes; prints what it saw."""

import json
import sys

from openproject_api_client import ApiClient
from openproject_api_client.apiclient import RequestError


def main(url: str, token: str) -> None:
    """Read lists, create, change, comment, and do it all wrong once."""
    client = ApiClient(url, token)
    project = client.get_projects()[0]
    made = client.create_workpackage(project.id, "Новая & новая", type_id=2, assignee_id=3, description="Text")
    changed = client.update_workpackage(made.id, made.lockversion, status_id=7, subject="Changed")
    client.add_workpackage_comment(made.id, "Hello")
    seen = {
        "projects": len(client.get_projects()),
        "statuses": [each.name for each in client.get_statuses()],
        "types": len(client.get_types()),
        "open": len(client.get_workpackages(status="open")),
        "all": len(client.get_workpackages(status="all")),
        "in_project": len(client.get_workpackages_by_project_id(project.id, status="all")),
        "made": [made.subject, made.type, made.assignee, made.project, made.lockversion],
        "changed": [changed.subject, changed.status, changed.lockversion],
        "comments": [each.comment["raw"] for each in client.get_activities(made.id)],
        "missing": client.get_workpackage(999_999) is None,
    }
    for name, attempt in {
        "stale": lambda: client.update_workpackage(made.id, made.lockversion, subject="Too late"),
        "unfit": lambda: client.create_workpackage(project.id, ""),
        "denied": lambda: ApiClient(url, "wrong").get_projects(),
    }.items():
        try:
            attempt()
        except RequestError as error:
            seen[name] = str(error).partition("(")[2][:3]
    sys.stdout.write(json.dumps(seen))


main(*sys.argv[1:3])
