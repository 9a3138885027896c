"""Passes: decisions that are signed, so that other servers can check them without asking."""
