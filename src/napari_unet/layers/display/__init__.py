"""How results look: colours, outlines, and the layers that are drawn over them."""
