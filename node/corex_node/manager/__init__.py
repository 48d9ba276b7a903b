"""The process manager: jobs, slots, queues, restarts, commands. Knows no Redis."""
