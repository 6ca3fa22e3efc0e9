"""Readers: a clinical file in, a list of cases out; nothing is fitted and nothing is resized here."""
