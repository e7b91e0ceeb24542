"""What every HTTP server of tfcanary stands on: how much a stranger may send, how slowly, and how many at a time."""
