"""The live page: its server, its plots, its messages to browsers, its API for programs."""
