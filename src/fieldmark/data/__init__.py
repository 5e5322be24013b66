"""Bytes to pictures, tables of images, geometry, splits, content ids."""
