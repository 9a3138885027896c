"""Tests that keep the written documentation in step with the code."""
