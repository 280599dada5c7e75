"""The types of annotations' values, which are text, and of settings, which are YAML."""
