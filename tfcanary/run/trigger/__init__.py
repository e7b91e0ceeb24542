"""Continuous training: whatever makes a model starts its release, by an event, by a look into a bucket, or as a pipeline's last step.

All three ways offer a candidate to the waiting list in the model's record (`acts.queue`), and a dispatcher submits whose turn
it is. Nothing here is the truth about anything: a server that is killed forgets nothing that it had acknowledged.
"""
