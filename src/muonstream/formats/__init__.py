"""Bytes into words: formats, how they are recognised, and the account of every byte. No files here."""
