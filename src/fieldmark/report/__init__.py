"""Evaluations as HTML and JSON."""
