"""The processes of one machine: supervisor, embedded Redis, the demo."""
