"""Corrections: which pixels the user has corrected or reviewed."""
