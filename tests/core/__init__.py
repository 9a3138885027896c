"""Tests of the core: words, rules, credentials, and the steps of one question."""
