//! Blocks, edits, runs, caches and samplers on a model of simple algebra.

mod blocks;
mod edits;
mod masks;
mod runs;

/// Checks that two lists are equal up to rounding.
#[track_caller]
fn assert_close(found: &[f32], expected: &[f32]) {
    stratigraph_testing::assert_each_close(found, expected, 1e-5, "a toy");
}
