"""Three-way merge of SQLite databases: schema, rows, ids and checks.

Layer: merge.
"""
