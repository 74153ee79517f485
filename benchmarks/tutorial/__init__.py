"""The handler that people write from the tutorials."""
