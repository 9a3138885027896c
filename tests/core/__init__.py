"""Tests of the core: words, rules, credentials, and the story of one question."""
