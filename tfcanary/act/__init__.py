"""ACT: everything that changes the world, in one place.

Each act may be killed at any write and run again, from any process, to the same end. Called by the components,
by the watcher and by the guard; nothing else in the library writes to a port.
"""
