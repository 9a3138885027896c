"""Redis itself, for all its users: addresses, connections, reads, scripts, and what happens when it fails."""
