"""Tiles: the plan, what they read, and the engine that computes them."""
