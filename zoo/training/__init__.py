"""Training: the loop, its checkpoints, and the losses, optimizers and schedules it is made of."""
