"""The `evaluate` module for scores: this folder is what `evaluate.load` takes."""
