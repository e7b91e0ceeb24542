"""Imported by the fork parent: a stand-in that finds it was forked."""
