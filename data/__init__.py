"""Where weights and pictures come from, and what this project derived from them."""
