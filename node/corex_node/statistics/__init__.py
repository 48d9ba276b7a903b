"""Statistics of a node: samples, from jobs and monitors, gathered in windows of time."""
