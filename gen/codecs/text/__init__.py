"""Text as tokens: characters or bytes, and how files of text are read.

Begin with char.py, the codec that text is read with unless another is asked for. files.py decodes files, documents.py
finds documents in them, tables/ reads CSV, TSV and JSON lines. tagged.py is for sentences whose words have tags, which
columns.py reads.
"""
