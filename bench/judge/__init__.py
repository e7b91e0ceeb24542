"""Simulated canaries before judges: how often each judge is wrong, and how late. `python -m bench.judge` runs it.

noise, scenarios, traffic   what happens: a law of noise, what is wrong with the canary, the counters of a watch
oracle                      the earliest time at which anybody could know
rivals, contestants         the judges that are compared
runner                      watches in, outcomes out
measures, bars              rates and medians, and the limits that they must keep
tables, picture, document   how they are shown
"""
