"""One file a family: embedding in, logits out."""
