"""The parts that find the newest versions of channels. Imported when one is first asked for."""

from datetime import timedelta
from functools import partial

from service.api.channels import ChannelService
from service.channels.newest_versions import NewestVersions
from service.wiring.basics import Basics
from service.wiring.upstream import Upstream


def open_channels(basics: Basics, upstream: Upstream) -> ChannelService:
    """Return the service; it closes with the gateway."""
    versions = NewestVersions(
        source=upstream.source,
        room=upstream.queue,
        clock=basics.shared_clock,
        joined=basics.events.joined,
        crashed=partial(basics.events.crashed, where="newest version"),
    )
    basics.stack.push_async_callback(versions.close)
    return ChannelService(versions=versions, deadline=timedelta(milliseconds=basics.settings.deadline_ms))
