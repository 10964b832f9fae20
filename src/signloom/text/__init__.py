"""Text as people have it: names and glosses made clean, tables read in any form."""
