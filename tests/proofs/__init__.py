"""Tests of proofs of an address."""
