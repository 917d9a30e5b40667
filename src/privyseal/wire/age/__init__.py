"""The age file format, version 1 (age-encryption.org/v1), as a codec without I/O."""
