"""Reads the YAML and JSON files that people write: plans, settings, credentials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tfcanary.core.errors import Refused


def read_document(path: Path) -> Any:
    """Read a YAML or JSON file; raises Refused, with line and column, where it cannot be parsed or has a key twice in one object."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeysLoader)  # noqa: S506  a SafeLoader
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise Refused(f"{path}: is no text in UTF-8 ({error.reason} at byte {error.start})") from error
    except yaml.MarkedYAMLError as error:
        raise Refused(f"{path}: not YAML: {_place(error.problem_mark)}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise Refused(f"{path}: not YAML: {str(error).splitlines()[0]}") from error


def _place(mark: yaml.Mark | None) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


class _UniqueKeysLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses what YAML itself forbids and PyYAML accepts: of a key that is there twice, the last one would win in silence."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[tuple[str, str], yaml.Mark] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if mark := first.get((key.tag, key.value)):
                problem = f"the key {key.value!r} is there twice, first in line {mark.line + 1}"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            first[key.tag, key.value] = key.start_mark
        return node


def _whole_number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    return node.value if ":" in node.value else loader.construct_yaml_int(node)


# YAML 1.1 reads the time of day 17:00 as the number 1020 and a date as an object; here both are texts, as in JSON.
_UniqueKeysLoader.add_constructor("tag:yaml.org,2002:int", _whole_number)
_UniqueKeysLoader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str)
