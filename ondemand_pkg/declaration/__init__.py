"""The declaration: what people write, and how it is read, explained and checked."""
