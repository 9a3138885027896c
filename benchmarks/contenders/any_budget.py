"""The gateway itself, with a store budget above what its settings allow: for a store in the laboratory only.

Arguments: the configuration, the port, requests a second, burst.
"""

import sys
from pathlib import Path

import uvloop
from msgspec.structs import replace

from service.cli.configuration import read_settings
from service.clock import SystemClock
from service.observability.line_writer import unbuffered
from service.observability.logs import configure_logging
from service.server import serve
from service.settings import LogFormat

settings = read_settings(Path(sys.argv[1]), flags={"port": int(sys.argv[2])})
# Not by way of the configuration: it is there to keep everybody below what itch.io's own client asks.
settings = replace(settings, itch=replace(settings.itch, rate=float(sys.argv[3]), burst=int(sys.argv[4])))
log = configure_logging(
    settings.log.level, LogFormat.JSON, sandbox=False, stream=unbuffered(sys.stdout), clock=SystemClock()
)
uvloop.run(serve(settings, log=log, started=lambda _gateway, _base_url: None))
