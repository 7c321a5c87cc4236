"""The command line: the edge that knows the terminal, the environment and exit codes."""
