"""How the components are wired; nothing else."""
