"""Continuous learning on one machine: follow the log, fine-tune, compare, publish or not, and go back."""
