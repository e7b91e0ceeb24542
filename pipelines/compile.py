"""Compiles pipelines and components into the packages that are published: `python -m pipelines.compile [FOLDER]`."""

import importlib
import sys
import warnings
from pathlib import Path

from kfp import compiler

ROOT = Path(__file__).parent.parent
PACKAGES = ROOT / "tfcanary" / "packages"


def definitions() -> dict[str, object]:
    """Return every pipeline and component by the name of its folder."""
    pipelines = {p.parent.name: f"pipelines.{p.parent.name}.pipeline" for p in sorted(ROOT.glob("pipelines/*/pipeline.py"))}
    components = {p.parent.name: f"components.{p.parent.name}.component" for p in sorted(ROOT.glob("components/*/component.py"))}
    return {name: getattr(importlib.import_module(module), name) for name, module in (pipelines | components).items()}


def main(folder: Path) -> None:
    """Compile every pipeline and component into `folder`, one YAML file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, definition in definitions().items():
        compiler.Compiler().compile(definition, str(folder / f"{name}.yaml"))


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message=".*python.*image.*")
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGES)
