"""Which pixels the user vouches for."""
