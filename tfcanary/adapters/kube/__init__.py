"""The platform of a cluster: `kube://<namespace>`, one model's objects in one namespace.

    m-v42, m-v43        a Deployment and an immutable ConfigMap a version, never renamed
    m-stable, m-canary  Services, each selecting one version's pods
    m                   the route that weighs the two Services (`routing`)
    tfcanary-m          the record
    m-guard             the guard of the active release

Nothing here restarts a server that a track points at, and nothing is written over that somebody else owns.
"""
