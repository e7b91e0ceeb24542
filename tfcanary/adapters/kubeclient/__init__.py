"""The client of one Kubernetes API server: calls, names and labels. No other package imports the Kubernetes client.

What the objects mean to a release is decided above: routes in `adapters.routing`, everything else in `adapters.kube`.
"""
