"""A simulated Bitrix24 portal: limits, faults and refusals of the real one, and a ledger of what was done to it.

The demo, the tests and the authors of plugins use it. It was written from documentation and shares no code with the
client, so that one's misunderstanding does not become the other's; FIDELITY.md says what is known and what is guessed.
"""

from carex_bitrix24.simulator.call import Call, Method, Refusal, Reply
from carex_bitrix24.simulator.employees import Employee
from carex_bitrix24.simulator.events import Subscription
from carex_bitrix24.simulator.faults import Fault
from carex_bitrix24.simulator.items import Item
from carex_bitrix24.simulator.ledger import Asked, Change, Created, Ledger
from carex_bitrix24.simulator.meanwhile import Meanwhile
from carex_bitrix24.simulator.portal import Portal
from carex_bitrix24.simulator.robot import robot_form
from carex_bitrix24.simulator.server import serve
from carex_bitrix24.simulator.tasks import Task

__all__ = [
    "Asked",
    "Call",
    "Change",
    "Created",
    "Employee",
    "Fault",
    "Item",
    "Ledger",
    "Meanwhile",
    "Method",
    "Portal",
    "Refusal",
    "Reply",
    "Subscription",
    "Task",
    "robot_form",
    "serve",
]
