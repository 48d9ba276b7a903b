"""Fleets: one command on many nodes, with bounds on what may go wrong, and one outcome a node."""
