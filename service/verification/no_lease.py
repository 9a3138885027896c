"""A gateway that shares its look-ups with no other replica."""

from collections.abc import Awaitable, Callable

from service.ownership import Fingerprint, Observation


class Alone:
    """Implements `LookUpOnce` where there is nobody else."""

    async def look_up_once(
        self,
        name: Fingerprint,  # noqa: ARG002 - there is nobody to tell it to
        look_up: Callable[[], Awaitable[Observation]],
        *,
        good_enough: Callable[[Observation], bool],  # noqa: ARG002 - there is nobody else's to judge
    ) -> Observation:
        """Return what `look_up` returns."""
        return await look_up()
