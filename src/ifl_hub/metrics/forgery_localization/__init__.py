"""The `evaluate` module for maps: this folder is what `evaluate.load` takes."""
