"""Continuous training: a new version starts its release by an event, by a look into a folder, or as the last step of a pipeline.

Each of the three ways offers a candidate to the waiting list in the model's record (`tfcanary.act.queue`), and a dispatcher submits the
candidate whose turn it is. All state is in the record: a server that is killed loses nothing that it had acknowledged.
"""
