"""The same analysis on Spark Structured Streaming."""
