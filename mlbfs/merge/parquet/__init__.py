"""Parquet files as the driver `parquet` reads, compares and writes them.

Layer: merge.
"""
