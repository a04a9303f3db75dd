//! Measures on residual streams and logits.
