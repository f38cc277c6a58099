"""A training run: its folder and how it resumes, step, loop, validation and tracking."""
