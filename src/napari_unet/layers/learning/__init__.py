"""Learning from corrections in the window, and the models before and after."""
