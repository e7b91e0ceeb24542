"""A real Kubernetes control plane, nodes whose pods are processes of this machine, a real Prometheus and a real Envoy.

`fixtures` has what tests ask for. Everything is a child that dies with the test run.
"""
