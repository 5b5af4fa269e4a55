"""What an observation means: pure decisions that count nothing and bill nothing."""
