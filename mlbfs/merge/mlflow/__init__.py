"""What merging has to know of MLflow: its database, its folder, and how it numbers things.

Layer: merge.
"""
