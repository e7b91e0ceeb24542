"""Looks at what the tracks answer and count, and says what it found; changes nothing."""
