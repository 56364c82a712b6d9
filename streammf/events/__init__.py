"""What comes in: events and their validation, positions, codecs, and the sources and sinks of logs."""
