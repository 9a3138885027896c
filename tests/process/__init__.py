"""The process seen from outside: sockets, signals, load, and callers that hang up."""
