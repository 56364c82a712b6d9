"""Bytes of others, damaged and made up, given to everything that reads them: see `__main__`."""
