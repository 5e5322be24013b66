"""A trained network as a graph that provably agrees."""
