"""One module per command; `mlbfs.cli.group` names them and imports one only when it is called."""
