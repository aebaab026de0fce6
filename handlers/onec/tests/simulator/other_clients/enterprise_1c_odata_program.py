"""What a user of enterprise-1c-odata writes; prints what it saw."""

import json
import sys

from enterprise_1c_odata.client import ODataClient, ODataError
from enterprise_1c_odata.query import ODataQuery

root = f"{sys.argv[1]}/odata/standard.odata"
client = ODataClient(root, "exchange", "secret")
items = ODataQuery("Catalog_Items").orderby("Description").skip(2).top(2).select("Description")
seen = {"page": [row["Description"] for row in client.execute(items).items]}
try:
    client.execute(ODataQuery("Catalog_Items").filter("Description eq 'item 3'"))
except ODataError as error:
    seen["plus"] = type(error).__name__
try:
    ODataClient(root, "exchange", "wrong").execute(items)
except ODataError as error:
    seen["password"] = type(error).__name__
sys.stdout.write(json.dumps(seen))
