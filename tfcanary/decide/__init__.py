"""The pure half: the judge of a canary, the comparison of data for drift, and the statistics beneath both."""
