"""What models there are: which files a request means, in which bucket, and whether they are complete."""
