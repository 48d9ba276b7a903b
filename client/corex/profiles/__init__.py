"""Profiles: where Redis is, under names of the user's own, in a file."""
