"""The U-Nets: specification, geometry, network, losses."""
