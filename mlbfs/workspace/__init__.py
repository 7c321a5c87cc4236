"""What a checkout looks like: an immutable snapshot and a mutable overlay. No FUSE, no errno."""
