"""Everything of Kafka: addresses, connections, topics, messages; reader, gateway and publisher."""
