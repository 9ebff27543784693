"""The images of an afternoon: gone through one by one, or segmented all together."""
