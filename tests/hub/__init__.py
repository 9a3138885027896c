"""The hub as a relay sees it."""
