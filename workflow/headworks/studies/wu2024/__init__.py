"""Wu & Varshney 2024, "Transformer-based Causal Language Models Perform Clustering": a conceptual replication."""
