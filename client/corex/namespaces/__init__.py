"""What a node has, by families of its built-ins, as callers hold it: `node.jobs` and its like.

Each family has a blocking face and one of coroutines, over the questions of `corex.questions`.
"""
