"""Old logs: replaying them into a source."""
