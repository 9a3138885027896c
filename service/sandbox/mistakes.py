"""What somebody asked of the sandbox and cannot have."""

from service.errors import GatewayError


class SandboxError(GatewayError):
    """The sandbox cannot do what a control request asked; the text is one line for the person who sent it."""
