"""The classifier as data: schema, read, write, verify."""
