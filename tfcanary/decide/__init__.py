"""The pure half of tfcanary: the judge of a canary, the comparison of data for drift, and the statistics that both use."""
