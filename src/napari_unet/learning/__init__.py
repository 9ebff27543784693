"""From the corrections of a user, or labelled images, to a better model."""
