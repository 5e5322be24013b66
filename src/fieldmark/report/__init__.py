"""Evaluations as HTML, JSON, model card and terminal lines."""
