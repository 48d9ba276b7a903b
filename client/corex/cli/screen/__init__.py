"""The live view of `corex top`: what it knows, how it is drawn, and the terminal it is drawn on."""
