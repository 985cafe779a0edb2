"""sortline."""
