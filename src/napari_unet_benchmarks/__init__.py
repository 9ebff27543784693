"""Benchmarks, the annotator that they simulate, and other programs to compare with; not in the wheel."""
