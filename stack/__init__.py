"""The stack on one machine: processes in order, supervised, and the demo that walks the whole way once."""
