"""The judge alone, for releases of other people's controllers: it reads counters and says what it thinks, and moves no traffic."""
