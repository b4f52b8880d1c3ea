"""What is to be learnt of the on-demand services of this host; the standard library alone, so that it runs anywhere."""
