"""Tests of what all stores need."""
