"""Real servers on ports of this machine, for the tests and for `tools/services`.

Each is made with a folder for its data and its log, then `start()`, `ready()`, `kill()` (as a crash does; it can be
started again), `close()` (the end). None outlives the process that started it.
"""

from tools.servers.engine import FLAVOURS, Engine, build, home
from tools.servers.process import Missing, free_port
from tools.servers.prometheus import Prometheus, promtool
from tools.servers.rabbitmq import Broker, Vhost
from tools.servers.redis import RedisServer
from tools.servers.stand_ins import MailSink, SimulatedPortal

__all__ = [
    "FLAVOURS",
    "Broker",
    "Engine",
    "MailSink",
    "Missing",
    "Prometheus",
    "RedisServer",
    "SimulatedPortal",
    "Vhost",
    "build",
    "free_port",
    "home",
    "promtool",
]
