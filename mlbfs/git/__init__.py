"""The Git layer: refs, commits, trees, pointers, attributes."""
