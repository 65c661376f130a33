"""HTML pages that stand alone: one file each, which a browser shows without a server and without a network."""
