"""Limits: of requests to the store, and of each caller's questions."""
