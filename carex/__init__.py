"""Carex moves work between the systems a company has. This module is the API for authors of handlers."""

from carex.context import Context
from carex.plugin import BadCall, Call, Plugin
from carex.task import BpmnError, Done, Fail, Retry, Task, Wait

__all__ = ["BadCall", "BpmnError", "Call", "Context", "Done", "Fail", "Plugin", "Retry", "Task", "Wait"]
__version__ = "0.1.0"
