"""The real functions of a release as actors under a scheduler: whatever order they act in, no user meets a server that does not serve."""
