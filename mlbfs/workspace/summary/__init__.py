"""Summaries of files for people: what `git diff` shows of models, tables and databases."""
