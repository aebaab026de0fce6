"""A stand-in for OpenProject: API v3 as far as Carex uses it, for tests. The real one needs Rails and PostgreSQL."""

from carex_openproject.simulator.instance import Fault, Instance
from carex_openproject.simulator.server import serve

__all__ = ["Fault", "Instance", "serve"]
