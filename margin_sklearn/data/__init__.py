"""What users pass in: rows, labels and weights, checked and cut into batches."""
