"""`make demo`: the whole system on one machine with simulated robots. Every part is the one that production runs."""
