"""One file a way in which labelled images lie on disk."""
