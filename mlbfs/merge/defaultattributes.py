"""The `.gitattributes` that a new branch begins with: how its files merge.

Owns: the text, which people read and change.
Layer: merge. Pure.

It says what `kinds.py` would choose by itself, and more: stock Git asks attributes only, never the
kind of a file. A value that Git has no driver for means to it what no value means, so the file
does no harm where `mlbfs install` was not run. Macros are defined here because Git heeds them
nowhere but in the `.gitattributes` at the root of a tree.
"""

from __future__ import annotations

DEFAULT_ATTRIBUTES = b"""\
# How files merge that both sides changed. Written by mlbfs; change it as you like, or delete it.
# Of lines that match one file the last counts. Options follow the driver, as in merge=json:key=id.
# Code and documents merge by lines, which needs no line here.

[attr]model     merge=overwrite
[attr]picture   merge=overwrite
[attr]document  merge=json
[attr]records   merge=jsonl
[attr]table     merge=csv
[attr]columns   merge=parquet
[attr]database  merge=auto

# Models and checkpoints: the incoming one replaces ours.
*.ckpt         model
*.gguf         model
*.h5           model
*.hdf5         model
*.joblib       model
*.keras        model
*.model        model
*.npz          model
*.onnx         model
*.pb           model
*.pickle       model
*.pkl          model
*.pt           model
*.pth          model
*.safetensors  model
*.tflite       model

*.gif          picture
*.jpeg         picture
*.jpg          picture
*.png          picture

# Data: what both sides added is appended.
*.csv          table
*.tsv          table
*.parquet      columns
*.jsonl        records
*.ndjson       records

# Metrics and other documents: by key, and lists append.
*.geojson      document
*.json         document

# Databases: by row and cell, and those of MLflow by what their numbers stand for.
*.db           database
*.sqlite       database
*.sqlite3      database

# Folders of MLflow: experiments by name, and the runs of both sides.
**/mlruns/**   merge=mlflow
"""
