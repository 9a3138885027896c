"""Observations, remembered in two tiers: this process and Redis behind it."""
