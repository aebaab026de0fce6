"""The HTTP server: it takes work in and answers questions about it. It never runs any."""

from carex.server.app import create_app
from carex.server.gate import check_bind

__all__ = ["check_bind", "create_app"]
