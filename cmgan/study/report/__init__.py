"""The report of a run: page, document, tables and figures."""
