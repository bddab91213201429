//! Configuration documents and Score files: YAML with positions, schemas, every error at once.
