"""Copying files to and from a node, in blocks that are under way several at once."""
