"""Four releases of a digit classifier on this machine: one promoted, one rolled back, two refused."""
