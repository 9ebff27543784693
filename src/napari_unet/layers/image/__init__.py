"""An image layer as the core sees it: its axes, its pixels' place, and what of it is on the canvas."""
