//! Keys on disk, and the walk of one that turns over.
