"""The merge drivers of mlbfs, one file each.

Layer: merge. See `mlbfs/merge/driver.py` for the contract.
"""
