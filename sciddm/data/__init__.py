"""What every domain does with data: made once, read with reasons, in units, saved."""
