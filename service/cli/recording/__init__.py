"""`doctor --record`: the form of a store's real answers, without a name, key or number in them, beside the expected."""
