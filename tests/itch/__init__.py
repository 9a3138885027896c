"""Tests of everything that knows itch.io."""
