"""Tests of what callers see, through the real application."""
