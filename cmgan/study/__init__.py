"""What makes the system a study: arms, claims, statistics, figures and the report."""
