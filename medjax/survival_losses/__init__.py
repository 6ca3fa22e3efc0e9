"""Losses per case for times to an event, and the survival curves that the same outputs stand for."""
