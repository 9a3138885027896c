"""Tests of what nobody may see."""
