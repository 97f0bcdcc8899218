"""Data files: the fitted parameters of the built-in families, one JSON file each (`model.py`)."""
