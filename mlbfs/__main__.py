"""Runs the command line as `python -m mlbfs`."""

from __future__ import annotations

import sys

from mlbfs.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
