"""Segmentation with a trained run: any size through one window, label maps on their own grid, files, and the planner."""
