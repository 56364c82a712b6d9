"""A shop that is broken on purpose, and counted: see `__main__`."""
