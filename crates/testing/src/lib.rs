//! What the tests of Stratigraph's crates share; no other crate depends on it.
//!
//! [`devices`] gives every backend of the build, [`fixture`] the path of a checkpoint with random weights, [`Expected`] what
//! Hugging Face transformers computes for it. [`assert_close`] compares lists of numbers, [`losses`] is the loss by its
//! definition, [`ByElement`] is an edit written out number by number, and [`Toy`] is a model of simple algebra that counts
//! what it runs. [`any_damage`] damages files, and [`largest_allocation`] says what memory reading one asks for.
//! [`doc_pages`] has the documentation, and the commands that it tells readers to type.

mod allocations;
mod by_element;
mod close;
mod damage;
mod devices;
mod docs;
mod expected;
mod fixtures;
mod loss;
mod shell;
pub mod toy;

pub use allocations::{Watching, largest_allocation};
pub use by_element::ByElement;
pub use close::{assert_close, assert_each_close, host};
pub use damage::{Damage, any_damage, any_json, n_mutations, n_values, replace_somewhere};
pub use devices::{TestDevice, device, devices, skipped};
pub use docs::{DocBlock, DocCommand, DocPage, DocSpan, doc_pages};
pub use expected::{Expected, ExpectedTensor};
pub use fixtures::{FAMILIES, GGUFS, fixture, repository};
pub use loss::losses;
pub use shell::shell_commands;
pub use stratigraph_study::Backend;
pub use toy::Toy;
