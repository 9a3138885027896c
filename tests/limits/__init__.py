"""Tests of how much may be asked."""
