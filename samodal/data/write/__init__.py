"""Writers: the masks of labelled videos in the formats of the field, one file a format."""
