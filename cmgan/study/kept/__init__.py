"""What of a finished run is kept in results/, and the pages that are written of it."""
