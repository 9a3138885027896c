"""Tests of what every user of Redis shares."""
