"""What a command shows while it works: progress with the time left, and the curve of a run."""
