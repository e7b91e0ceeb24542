"""Routers: who divides the requests between the tracks."""
