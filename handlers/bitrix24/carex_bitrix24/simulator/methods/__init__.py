"""The methods of the portal by name. A plugin that needs another one adds it to `portal.methods`."""

from carex_bitrix24.simulator import batch
from carex_bitrix24.simulator.call import Method
from carex_bitrix24.simulator.methods import attendance, deals, items, notices, office, users

TABLE: dict[str, Method] = {
    **items.METHODS,
    **deals.METHODS,
    **users.METHODS,
    **attendance.METHODS,
    **notices.METHODS,
    **office.METHODS,
    "batch": Method(batch.run),
}
# REST 3 has its own methods; none is simulated yet.
TABLE_V3: dict[str, Method] = {}
