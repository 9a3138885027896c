"""Tests of the newest versions of channels."""
