"""Arrays in, estimates out; numpy only."""
