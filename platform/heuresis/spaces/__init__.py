"""Design spaces: what candidates are. One kind, one module."""
