"""From an image and a model to labels: what is to be done, at which scale, in which tiles, and doing it."""
