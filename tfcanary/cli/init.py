"""The verb `init`: writes a commented plan to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from tfcanary import adapters
from tfcanary.act import ledger
from tfcanary.cli import options, outputs
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan

_HEAD = """\
# A release plan for {platform}, written by `tfcanary init`.
# A field in a comment has its default value. docs/plan.md describes every field.
# Times are 500ms, 30s, 5m, 1h or 2d; ratios are fractions, so 0.10 is 10 %.
"""
_FIRST = """
# {name} has no stable version yet: this plan deploys the first one without a canary. Remove this line for every later release.
bootstrap: true
"""
_UNKNOWN = """
# For the first release of a model, which has no stable version to compare with: `bootstrap: true`.
# bootstrap: false
"""
_COMMON = """
# The canary's share of the requests at each stage, in whole percent; at most five stages.
weights: [5, 25, 50]

stage:
  minimum: 5m               # a stage lasts at least this long
  maximum: 1h               # a stage that could not decide by then ends undecided
  # poll: 10s               # the time between two measurements
  # on_undecided: rollback  # promote: accept the risk of too few requests
  # approval: none          # promotion or every: a person approves the last stage, or every stage

judge:
  minimum_time: 10m         # a promotion comes no earlier than this after the first canary request
  minimum_requests: 300     # a promotion needs at least this many canary requests
  errors:
    margin: 0.5             # a promotion must exclude that errors are this much more frequent
  latency:                  # `latency: none` where the servers do not export it
    margin: 0.10            # a promotion must exclude that answers take this much longer
    tail_share_margin: 0.5  # ... and that slow answers are this much more frequent

# Requests with known answers, sent to both versions before any traffic: a wrong model is refused there.
# predictions:
#   source: {golden}
#   accuracy_margin: 0.02   # the accuracy may be this much lower than that of the stable version
#   slices: []              # inputs whose values divide the requests, for example [country]
"""
_LOCAL = """
# The directory of the versions. Default: below the state folder.
# bucket:
#   canary: ""              # an absolute path
#   keep: 3                 # versions that are kept after a promotion
"""
_CLUSTER = """
# Replace every <...> below. `tfcanary doctor --plan {file} --platform {platform}` says what is missing.
bucket:
  canary: gs://<bucket>/canary
  # keep: 3                 # versions that are kept after a promotion

serving:
  image: <repository>/tensorflow-serving@sha256:<digest>
  replicas: 2               # pods of the stable track after the first release
  # canary_replicas: 1      # pods of the canary at least; it gets as many as its weight needs
  # cpu: "1"
  # memory: 2Gi

traffic:
  router: gateway           # or istio, nginx, replicas
  gateway: <namespace>/<gateway>
  hostnames: [<host name>]

metrics:
  url: http://prometheus.monitoring:9090     # or `source: scrape` in place of it: the servers' own pages
  # pod_label: pod          # the label that distinguishes the servers

# guard:
#   installed: false        # true: a guard for the whole namespace is installed (deploy/guard)
"""


@click.command(short_help="Write a commented plan for this platform.")
@click.argument("plan_file", type=click.Path(path_type=Path), callback=outputs.check_writable, default="plan.yaml", metavar="[FILE]")
@options.name(required=False, text="The model. With it, the plan is one for a first release where the model has no stable version.")
@options.platform
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@options.as_json
def init(plan_file: Path, name: str, platform_uri: str, force: bool, json_: bool) -> None:
    """Write a commented plan for this platform into FILE (plan.yaml), to be edited and checked with `tfcanary plan`.

    Exit 0 written, 2 bad input, also where the file exists; 3 the platform could not be reached.

    \b
    Example:  tfcanary init
              tfcanary init first.yaml --name digits --platform kube://serving
    """
    if plan_file.exists() and not force:
        raise Refused(f"{plan_file}: exists already; --force replaces it")
    has_stable = bool(name) and ledger.read(adapters.open_platform(platform_uri, name, Plan())).stable is not None
    text = plan_text(platform_uri, plan_file, name, has_stable)
    with outputs.writing(plan_file):
        plan_file.write_text(text, encoding="utf-8")
    target = f" --name {name} --platform {platform_uri}" if name else ""
    options.print_result("written", f"{plan_file}: written; check it with `tfcanary plan {plan_file}{target}`", json_, file=str(plan_file))


def plan_text(platform_uri: str, file: Path, name: str, has_stable: bool) -> str:
    """Return the plan as YAML with comments; raises Refused where `platform_uri` names no platform."""
    scheme = platform_uri.partition("://")[0]
    if scheme not in ("local", "kube"):
        raise Refused(f"platform {platform_uri!r}: is no platform; use {adapters.PLATFORM_URIS}")
    bootstrap = "" if has_stable else _FIRST if name else _UNKNOWN
    golden = "/srv/golden.jsonl" if scheme == "local" else "gs://<bucket>/golden.jsonl"
    text = _HEAD + bootstrap + _COMMON + (_LOCAL if scheme == "local" else _CLUSTER)
    return text.replace("{platform}", platform_uri).replace("{name}", name).replace("{golden}", golden).replace("{file}", str(file))
