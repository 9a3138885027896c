"""The core: one question about ownership, from a credential to a verdict. Read `verify` first; it has the steps."""
