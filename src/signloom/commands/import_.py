"""The command `import`: each kind of source is a command of its own, in `signloom.importers`."""

from signloom.importers import KINDS

__all__ = ["KINDS"]
