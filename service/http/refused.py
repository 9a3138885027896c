"""The end of a request that is not worth reading on."""


class Refused(Exception):  # noqa: N818 - an outcome of reading, not a failure of ours
    """Bytes that are no acceptable request, with the status that says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status
