"""A whole run: its profile, what it would cost, and snakemake at work on it."""

import sys

# Importing nbformat (as papermill and nbconvert do) would compile a grammar of internationalised addresses, which
# takes longer than all else there and which no notebook's schema asks for. jsonschema goes on without it.
sys.modules.setdefault("rfc3987_syntax", None)
