"""Tests of secrets, and of all that must never be seen."""
