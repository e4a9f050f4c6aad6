"""Fine-tuning SAM to amodal masks: losses, samples, and the loop in the open."""
