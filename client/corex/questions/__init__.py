"""What a node can be asked: by families of built-ins, each with the form of its answers."""
