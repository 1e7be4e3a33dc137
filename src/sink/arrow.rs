//! Arrow record batches.
