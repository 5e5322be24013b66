"""A bundle behind HTTP: one front process, worker processes that decode and run."""
