"""What is asked for (`request`), what it is (`artifact`) and where it comes from (`source`)."""
