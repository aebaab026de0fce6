"""Carex moves work between the systems a company has. This module is the API for authors of handlers."""

from carex.choice import Candidate, Choice, Situation
from carex.context import Context
from carex.limiter import Share
from carex.once import send_once
from carex.plugin import BadCall, Call, Employee, Finding, Plugin
from carex.task import BpmnError, Done, Fail, Retry, Task, Wait

__all__ = [
    "BadCall",
    "BpmnError",
    "Call",
    "Candidate",
    "Choice",
    "Context",
    "Done",
    "Employee",
    "Fail",
    "Finding",
    "Plugin",
    "Retry",
    "Share",
    "Situation",
    "Task",
    "Wait",
    "send_once",
]
__version__ = "0.1.0"
