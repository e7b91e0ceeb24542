"""The packages that only read and return Evidence: the gate of a SavedModel, its trial run, and the evaluation of answers and metrics."""
