"""Administration of a Kafka-protocol broker, whoever runs it: connections, topics, positions and groups."""
