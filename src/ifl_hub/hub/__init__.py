"""Publishing: model cards made from data."""
