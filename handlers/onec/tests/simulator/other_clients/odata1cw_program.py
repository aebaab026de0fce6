"""What a user of odata1cw writes; prints what it saw."""

import json
import sys

from odata1cw.catalog import Catalog
from odata1cw.core import Infobase
from odata1cw.document import Document
from odata1cw.postingmode import PostingMode

server, _, name = sys.argv[1].rpartition("/")
infobase = Infobase(f"{server}/", name, "exchange", "secret")
partners, orders = Catalog(infobase, "Контрагенты"), Document(infobase, "Заказ")
made = partners.create({"Description": "Ромашка", "ИНН": "7701"})
seen = {"found": [row["ИНН"] for row in partners.query(top=5, odata_filter="ИНН eq '7701' and DeletionMark eq false")]}
seen["edited"] = partners.edit(made["Ref_Key"], {"Description": "Новое имя"})["Description"]
order = orders.create({"Date": "2026-01-31T00:00:00", "Сумма": 5}, PostingMode.POST)
seen["posted"] = orders.get(order["Ref_Key"])["Posted"]
orders.unpost(order["Ref_Key"])
seen["unposted"] = orders.get(order["Ref_Key"])["Posted"]
try:
    partners.get("00000000-0000-0000-0000-000000000099")
except Exception as error:  # noqa: BLE001
    seen["missing"] = json.loads(str(error))["odata.error"]["code"]
sys.stdout.write(json.dumps(seen))
