"""Models: a network with all that is needed to use it rightly, its file, and where models are found."""
