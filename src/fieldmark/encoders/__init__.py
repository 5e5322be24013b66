"""One file a family: pixels in, embedding out."""
