"""Recipe, pixel cache, loop, probe, checkpoint: how a bundle is made."""
