"""Employees, and who was chosen for what and why.

`Directory` is for the person who keeps the list of employees, `People` for the handler that gives work to one of them.
Both use the file `people.db`.
"""

from carex.people.decisions import People, open_people
from carex.people.directory import Directory
from carex.people.ledger import Decision
from carex.people.rules import Pool, Rules
from carex.people.user import User

__all__ = ["Decision", "Directory", "People", "Pool", "Rules", "User", "open_people"]
