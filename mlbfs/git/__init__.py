"""The Git layer: objects, refs, history, pointers and attributes of the Git repository.

Layer: git. Imports store and the leaves; the only place that imports pygit2.
"""
