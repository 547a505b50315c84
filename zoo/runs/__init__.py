"""Run folders and exported weights: what training leaves behind."""
