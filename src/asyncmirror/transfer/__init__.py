"""Moving one file: the byte budget, a single PUT or a multipart upload, receipts."""
