"""The version of this gateway, as it is installed."""

from importlib.metadata import version
from typing import Final

VERSION: Final = version("ownership-gateway")
