"""Types of fields: of annotations, whose values are text, and of settings, which are YAML."""
