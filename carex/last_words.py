"""Where in its code a process was when it crashed: Python's `faulthandler` says it as the process dies.

It does so for SIGSEGV, SIGFPE, SIGABRT, SIGBUS and SIGILL, with the stack of the thread that the signal came to. For a
fault in a handler, or in a library that it calls, that is the handler's. Nobody can say anything before a SIGKILL.
"""

from __future__ import annotations

import faulthandler
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO

FIRST = b"Fatal"
"""What the first line of them begins with."""
FRAME = re.compile(r'  File "(.+)", line (\d+) in (.+)')
LIBRARY = os.path.dirname(os.__file__)
OURS = str(Path(__file__).parent) + os.sep


def leave_to(whom: IO[bytes] | IO[str] | None) -> None:
    """Have the last words of this process written there, if there is such a place: stderr may be closed."""
    if whom is not None:
        faulthandler.enable(whom, all_threads=False)


def place_in(words: Sequence[str]) -> str:
    """`FILE:LINE in FUNCTION` of the innermost code that is neither Python's nor below ours; "" if there is none."""
    for word in words:
        if frame := FRAME.match(word):
            file, line, function = frame.groups()
            if file.startswith(OURS):
                return ""
            if not file.startswith(LIBRARY) or "site-packages" in file:
                return f"{file}:{line} in {function}"
    return ""
