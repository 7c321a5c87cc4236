"""The command line: terminal, environment, exit codes."""
