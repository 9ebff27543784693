"""Correcting objects: gestures, the list of objects, labels from elsewhere, and slices and frames."""
