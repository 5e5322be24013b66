"""Bundles put together into one: ensembles and cascades, as one graph."""
