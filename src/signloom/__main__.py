"""Runs the command line: `python -m signloom` is `signloom`."""

from __future__ import annotations

from signloom.cli import main

if __name__ == "__main__":
    main()
