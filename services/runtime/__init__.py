"""What every server needs and nothing about recommendation."""
