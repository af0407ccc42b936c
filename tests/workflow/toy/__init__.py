"""The smallest study that walks all six rooms: counting round a ring, learnt in seconds."""
