"""Models: a network with all that is needed to use it, model files, and where they are found."""
