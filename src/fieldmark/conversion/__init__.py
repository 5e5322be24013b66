"""A bundle's graph in other forms, each proven beside the one that it was made from."""
