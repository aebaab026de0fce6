"""The methods of the portal by name. A plugin that needs another one adds it to `portal.methods`."""

from carex_bitrix24.simulator import batch
from carex_bitrix24.simulator.call import Method
from carex_bitrix24.simulator.methods import attendance, classic, items, notices, office, tasks, tasks_v3, users

TABLE: dict[str, Method] = {
    **items.METHODS,
    **classic.METHODS,
    **tasks.METHODS,
    **users.METHODS,
    **attendance.METHODS,
    **notices.METHODS,
    **office.METHODS,
    "batch": Method(batch.run),
}
TABLE_V3: dict[str, Method] = {**tasks_v3.METHODS}
