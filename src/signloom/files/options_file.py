"""Reads files of options: YAML with one table, small, without surprises."""

from __future__ import annotations

import re
from collections import Counter
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

from signloom.errors import Faults, InputError
from signloom.files.reading import Kind, read_text
from signloom.files.schemas import NOT_PLAIN, shown

_KIND = Kind("a file of options", 1_000_000)
# After every alias is replaced by what it stands for; all options of a command are a hundred.
_MOST_VALUES = 10_000
_MOST_LEVELS = 50


# `merge` is the tag of `<<`.
_PLAIN = ("map", "seq", "str", "int", "float", "bool", "null", "merge")


class _Loader(yaml.SafeLoader):
    """YAML's plain types, with numbers as the command line reads them: `1e-4` is one."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in pairs if not tag.endswith((":float", ":timestamp"))]
    for letter, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"[-+]?(?:\d[\d_]*\.[\d_]*(?:[eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.[\d_]+(?:[eE][-+]?\d+)?"
        r"|\.(?:inf|Inf|INF))\Z|\.(?:nan|NaN|NAN)\Z"
    ),
    list("-+0123456789."),
)


def read_options(path: Path) -> dict[str, Any]:
    """Returns the table of options in a YAML file.

    Raises InputError for another file, for a key that occurs twice, tags, text with control characters, and aliases
    that stand for more than a file of options can hold.
    """
    text = read_text(path, _KIND)
    if _most_open(text) > _MOST_LEVELS:
        # PyYAML's time grows with their square.
        raise InputError(f"{path}: nested too deeply; needed a table of options")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return {}
        _check(node, path)
        options = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{path}{line}: not YAML ({error.problem or error.context})") from None
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: not YAML ({str(error)[:200]})") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply; needed a table of options") from None
    if not isinstance(options, dict):
        raise InputError(
            f"{path}: the content is {shown(options)}; needed a table of options, a 'name: value' per line"
        )
    return options


def _most_open(text: str) -> int:
    """Returns the largest number of brackets that are open at once."""
    steps = ((letter in "[{") - (letter in "]}") for letter in text if letter in "[{]}")
    return max(accumulate(steps), default=0)


def _check(root: yaml.Node, path: Path) -> None:
    """Raises InputError for what YAML allows and options do not need."""
    faults = Faults(str(path))
    sizes: dict[yaml.Node, int] = {}

    def size_of(node: yaml.Node) -> int:
        """Returns how many values a node has when its aliases are replaced."""
        if node in sizes:
            # 0 while its own values are counted: it contains itself.
            return sizes[node] or _MOST_VALUES
        sizes[node] = 0
        total = 1
        place = f"line {node.start_mark.line + 1}"
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _PLAIN:
            faults.add(f"{place}: tag {shown(node.tag)}; needed plain values")
        if isinstance(node, yaml.MappingNode):
            keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            for name, count in keys.items():
                if count > 1:
                    faults.add(f"{place}: key {shown(name)} occurs {count} times")
            total += sum(size_of(part) for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            total += sum(map(size_of, node.value))
        elif NOT_PLAIN.search(node.value.replace("\\n", " ").replace("\\t", " ")):
            faults.add(f"{place}: {shown(node.value)} has control characters")
        sizes[node] = min(total, _MOST_VALUES)
        return sizes[node]

    if size_of(root) >= _MOST_VALUES:
        faults.add(f"its aliases stand for {_MOST_VALUES:,} values or more; needed fewer")
    faults.raise_if_any()
