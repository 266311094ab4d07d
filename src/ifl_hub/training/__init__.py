"""Training on accelerate: recipes are data, one loop runs them."""

from .recipe import Recipe, load_recipe

__all__ = ["Recipe", "load_recipe"]
