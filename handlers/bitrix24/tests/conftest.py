from collections.abc import Iterator

import pytest
from loguru import logger


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged during the test, tracebacks with their variables included."""
    written: list[str] = []
    sink = logger.add(written.append, level="TRACE", format="{level} {message}", backtrace=True, diagnose=True)
    yield written
    logger.remove(sink)
