"""Tests of everything that knows mod.io."""
