"""What a user of the vendor's b24pysdk writes; prints what it saw."""

import json
import sys
from urllib.parse import urlsplit

from b24pysdk import BitrixWebhook


def refused(client: BitrixWebhook, method: str, params: dict, **options: int) -> Exception:
    """Return the error that a call ends with."""
    try:
        client.call_method(method, params, **options)
    except Exception as error:  # noqa: BLE001
        return error
    raise AssertionError(f"{method} was not refused")


def main(webhook: str) -> None:
    """Read lists, run batches, write, ask for what is not there."""
    address = urlsplit(webhook)
    _, user, secret, _ = address.path.lstrip("/").split("/")
    client = BitrixWebhook(domain=address.netloc, webhook_token=f"{user}/{secret}")
    seen = {
        "users": len(client.call_list("user.get", {"FILTER": {"ACTIVE": True}})["result"]),
        "deals": len(list(client.call_list_fast("crm.deal.list", {"select": ["ID"]})["result"])),
        "items": len(client.call_list("crm.item.list", {"entityTypeId": 2})["result"]),
    }
    for first in range(1, 121, 40):
        some = range(first, first + 40)
        update = {f"d{number}": {"entityTypeId": 2, "id": number, "fields": {"assignedById": 3}} for number in some}
        client.call_batch({name: ("crm.item.update", params) for name, params in update.items()}, halt=True)
    found = client.call_batch({"deal": ("crm.deal.get", {"id": 5}), "me": ("profile", None)})["result"]["result"]
    seen["batch"] = [found["deal"]["ID"], found["me"]["ID"]]
    seen["one"] = client.call_method("crm.deal.get", {"id": 5})["result"]["ID"]
    seen["added"] = client.call_method("crm.deal.add", {"fields": {"TITLE": "Новая & новая"}})["result"]
    seen["unknown"] = str(refused(client, "crm.deal.get", {"id": 999_999}))
    task = {"fields": {"title": "Позвонить", "creatorId": 1, "responsibleId": 3}}
    seen["rest3"] = {
        "added": client.call_method("tasks.task.add", task, prefer_version=3)["result"]["item"]["id"],
        "unknown": type(refused(client, "tasks.task.get", {"id": 77}, prefer_version=3)).__name__,
        "incomplete": type(refused(client, "tasks.task.add", {"fields": {"title": "A"}}, prefer_version=3)).__name__,
    }
    sys.stdout.write(json.dumps(seen))


main(sys.argv[1])
