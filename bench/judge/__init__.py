"""Simulated canaries against judges: how often each is wrong, and how late. `python -m bench.judge` runs it.

noise, scenarios, traffic   what happens: a law of noise, what is wrong with the canary, the counters of a watch
oracle                      the earliest that anybody could know
rivals, contestants         who judges
runner                      watches in, outcomes out
measures, bars              rates, medians, and what they must be
tables, picture, document   how they are shown
"""
