"""What a user of fast_bitrix24 writes; prints what it saw."""

import asyncio
import json
import sys

from fast_bitrix24 import BitrixAsync


async def main(webhook: str) -> None:
    """Read lists, run a batch, write, ask for what is not there."""
    client = BitrixAsync(webhook, verbose=False)
    updates = [{"entityTypeId": 2, "id": number, "fields": {"assignedById": 3}} for number in range(1, 121)]
    seen = {
        "users": len(await client.get_all("user.get", {"FILTER": {"ACTIVE": True}})),
        "deals": len(await client.get_all("crm.deal.list", {"filter": {">ID": "0"}, "select": ["ID"]})),
        "items": len(await client.get_all("crm.item.list", {"entityTypeId": 2})),
    }
    await client.call("crm.item.update", updates)
    found = await client.call_batch({"halt": 0, "cmd": {"deal": "crm.deal.get?id=5", "me": "profile"}})
    seen["batch"] = [found["deal"]["ID"], found["me"]["ID"]]
    seen["one"] = (await client.get_by_ID("crm.deal.get", [5, 6]))["5"]["ID"]
    seen["added"] = await client.call("crm.deal.add", {"fields": {"TITLE": "Новая & новая"}})
    try:
        await client.call("crm.deal.get", {"ID": 999_999})
    except Exception as error:  # noqa: BLE001
        seen["unknown"] = "Not found" if "Not found" in str(error) else str(error)
    sys.stdout.write(json.dumps(seen))


asyncio.run(main(sys.argv[1]))
