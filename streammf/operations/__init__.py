"""Running it: configuration, the supervisor of `up`, and the demo."""
