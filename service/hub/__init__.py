"""The hub of a relay: a gateway that has the store, and decides for it."""
