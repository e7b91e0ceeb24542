"""The processes that hold a release: the watch, the steps of a pipeline, the submission, the trigger and the monitor."""
