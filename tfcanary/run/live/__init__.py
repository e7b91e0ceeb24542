"""LIVE: the pages of all models and of each one, served to browsers and kept up to date there; read-only."""
