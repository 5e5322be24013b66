"""A bundle answers: run the graph, apply the decision."""
