"""Tables of texts: CSV, TSV and JSON lines, every row a document."""
