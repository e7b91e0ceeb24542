"""Speaks to one Kubernetes API server: names, labels and calls. Alone imports the Kubernetes client.

What the objects mean to a release is decided above: routes in `routing`, everything else in `platforms.kube`.
"""
