"""Evaluates the answers and metrics of both tracks and returns evidence; it changes nothing."""
