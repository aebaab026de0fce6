"""A simulated Bitrix24 portal: limits, faults and refusals of the real one, and a ledger of what was done to it.

The demo, the tests and the authors of plugins use it. It was written from documentation and shares no code with the
client, so that one's misunderstanding does not become the other's; FIDELITY.md says what is known and what is guessed.
"""

from carex_bitrix24.simulator.call import Call, Method, Refusal, Reply
from carex_bitrix24.simulator.employees import Employee
from carex_bitrix24.simulator.faults import Fault
from carex_bitrix24.simulator.items import Item
from carex_bitrix24.simulator.ledger import Change, Ledger
from carex_bitrix24.simulator.portal import Portal
from carex_bitrix24.simulator.robot import robot_form
from carex_bitrix24.simulator.server import serve

__all__ = [
    "Call",
    "Change",
    "Employee",
    "Fault",
    "Item",
    "Ledger",
    "Method",
    "Portal",
    "Refusal",
    "Reply",
    "robot_form",
    "serve",
]
