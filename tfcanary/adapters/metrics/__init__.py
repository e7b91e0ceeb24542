"""The sources of the servers' counters: the servers' own metrics pages, or a Prometheus that scrapes them."""
