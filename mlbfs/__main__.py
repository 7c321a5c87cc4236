"""The program `mlbfs`, also as `python -m mlbfs`.

Owns: that Ctrl-C in the first moments, while modules are still being imported, shows no traceback.
Layer: cli.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Runs the command line and returns its exit code."""
    try:
        if sys.argv[1:2] == ["merge-driver"]:
            from mlbfs.cli.mergeclient import ask

            code = ask(sys.argv[2:])
            if code is not None:
                return code
        from mlbfs.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        sys.stderr.write("mlbfs: interrupted\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
