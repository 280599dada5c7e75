"""What scripts/docs generates from the code, and the site that scripts/site builds."""
