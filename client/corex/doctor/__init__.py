"""Checking that Redis and the nodes are as they should be.

`examine` gathers facts and judges nothing; `judge_server` and `judge_fleet` judge facts and ask
nothing; `findings` is what they say.
"""
