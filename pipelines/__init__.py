"""The pipelines, which wire the components together and contain no other code."""
