"""From a file on a device to arrays, with every mistake in the file said by column and row."""
