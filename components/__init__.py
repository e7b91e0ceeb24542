"""What Kubeflow Pipelines sees: interfaces only, one folder a component; the work is in the library `tfcanary`."""
