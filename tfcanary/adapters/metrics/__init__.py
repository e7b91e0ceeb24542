"""Where counters come from: the servers' own pages, or a Prometheus that scrapes them."""
