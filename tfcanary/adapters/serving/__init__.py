"""The client of model servers, and readers of recorded requests and of answered ones."""
