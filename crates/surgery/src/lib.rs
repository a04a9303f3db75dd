//! Layer surgery: plans of layers to run, and the executor that runs many of them.
