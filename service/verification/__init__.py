"""The core: one question about ownership, from a credential to a verdict. `verify` tells the story."""
