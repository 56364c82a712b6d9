"""The loop that joins log, model and store: poll, decode, learn, publish, commit."""
