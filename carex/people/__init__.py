"""Employees, and who was chosen for what and why.

`Directory` is for the person who keeps the list of employees, `People` for the handler that gives work to one of them.
Both use the file `people.db`.
"""

from carex.people.decisions import Decision, People, open_people
from carex.people.directory import Directory
from carex.people.user import User

__all__ = ["Decision", "Directory", "People", "User", "open_people"]
