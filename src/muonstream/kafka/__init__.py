"""Kafka: addresses, connections, topics. What is read from them is in `sources`, what is written in `sinks`."""
