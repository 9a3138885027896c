"""A faithful stand-in for the itch.io endpoints the gateway uses."""
