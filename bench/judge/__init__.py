"""Simulated canaries before judges: how often each judge is wrong, and how late. `python -m bench.judge` runs it.

noise, latencies             draws: series that wander, batches, and the one place that draws latencies
worlds, scenarios, traffic   what happens: a service, what is wrong with the canary, the counters of every server
oracle                      the earliest time at which anybody could know
rivals, contestants         the judges that are compared
runner                      watches in, outcomes out
measures, bars              rates and medians, and the limits that they must keep
tables, picture, document   how they are shown
"""
