"""Where weights and pictures come from, and what this project derived from them."""

from pathlib import Path

HOME = Path(__file__).resolve().parent  #: this folder; the project's is its parent
