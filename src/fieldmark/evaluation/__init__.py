"""A bundle and a dataset in, an Evaluation out."""
