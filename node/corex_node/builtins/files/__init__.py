"""What `filesystem.*` and `web.download` do to files. Everything here may block."""
