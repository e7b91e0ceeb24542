"""How other tools decide, written from their public descriptions, and two textbook tests. All ignore the first 120 s.

Flagger and Argo Rollouts compare the canary's own numbers with fixed limits; both are run with the limits of their documentation and
with limits tuned from stable's history. Kayenta compares ranks of minutes.
"""
