"""The ways in which a mail is not sent."""


class MailRefused(Exception):  # noqa: N818 - it names what happened
    """The mail server takes no mail for that address, and never will."""


class MailUnavailable(Exception):  # noqa: N818 - it names what happened
    """The mail server has not taken the mail; `perhaps_sent` if it may have, and only its word for it is missing."""

    def __init__(self, why: str, *, perhaps_sent: bool = False) -> None:
        super().__init__(why)
        self.perhaps_sent = perhaps_sent
