"""A static site of every filter of a network: ``python -m tools.explorer FOLDER LAYERS="..."``."""
