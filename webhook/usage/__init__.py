"""Who uses which version of which model: pods that run, templates that pin, claims that pods mount."""
