"""Scripts for those who work on muonstream; nothing of this is installed."""
