"""Segmenting with the workers of a cluster (dask.distributed): one large image by blocks, or a folder by file.

Workers read the image and write the labels themselves; only names and small numbers go through the scheduler.
"""
