"""A stand-in for a published infobase: OData, an HTTP service, sessions and licences, for tests.

Written from the vendor's guide and from other people's observations; 1C itself cannot be had here. It knows nothing of
Carex's client.
"""

from carex_onec.simulator.entities import Entity
from carex_onec.simulator.publication import Fault, Publication
from carex_onec.simulator.server import serve

__all__ = ["Entity", "Fault", "Publication", "serve"]
