"""The process as its surroundings see it: sockets, signals, load, and callers who go away."""
