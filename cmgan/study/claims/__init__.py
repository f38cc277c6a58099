"""The claims with their decision rules, the evidence for them, and the verdicts."""
