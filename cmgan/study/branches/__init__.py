"""Does one change make a good network collapse, or repair a collapsed one? Branches of a shared trunk."""
