"""The live page: its server, its plots, its messages to browsers, what programs can ask of it."""
