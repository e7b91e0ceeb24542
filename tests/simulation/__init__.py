"""The real functions of a release as actors under a scheduler of the test's own: whatever order they act in, no user meets a server that does not serve."""
