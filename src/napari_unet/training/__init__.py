"""Training a network on labelled samples; knows no user and no corrections."""
