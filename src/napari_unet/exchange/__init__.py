"""Models and training data that go to other programs, and models that come from them."""
