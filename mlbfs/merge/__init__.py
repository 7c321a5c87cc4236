"""Three-way merge of trees, and the drivers that merge the content of files.

Layer: merge. Imports git, store and the leaves; knows no workspace and moves no ref.
"""
