"""Redeem tokens."""
