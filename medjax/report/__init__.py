"""What people read: the results table (later the report page, cards, figures)."""
