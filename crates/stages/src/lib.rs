//! Curves over layers, and the profile that holds them.
