"""The ways in which people keep labelled images, one file a format; the table is `row.FORMATS`."""
