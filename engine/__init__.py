"""What carries `vizutils`, a file each; nothing here is needed to read the report."""
