"""The client of one Kubernetes API server: names, labels and calls. No other package imports the Kubernetes client.

What the objects mean to a release is decided above: routes in `routing`, everything else in `platforms.kube`.
"""
