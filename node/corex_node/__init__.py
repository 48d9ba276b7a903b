"""The agent: takes commands off Redis, runs them, and delivers their results."""
