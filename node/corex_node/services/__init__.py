"""Services: what starts when, in which order, and on which conditions."""
