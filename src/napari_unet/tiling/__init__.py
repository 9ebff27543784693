"""Tiles: the plan, where they read, and the engine that runs them."""
