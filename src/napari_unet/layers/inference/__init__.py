"""Segmenting in the window: what, with which model, at which diameter, and how objects are read out of maps."""
