//! What a study found, in forms that people and programs read: a terminal table, figures, CSV and JSON.
//!
//! In the order of use: [`OutDir`] makes sure of a place to write before the work begins, [`LayerTable`] and
//! [`TerminalChart`] print a [`Profile`](stratigraph_stages::Profile), and [`OutDir::write`] leaves its files, among them the
//! [`Page`] and the [`figures`] of the curves. [`Comparison`] puts several profiles on one page.

mod comparison;
mod error;
pub mod figure;
mod files;
mod page;
mod table;
mod terminal;
#[cfg(test)]
mod testing;
mod text;
mod valid;
mod view;

pub use comparison::Comparison;
pub use error::{ReportError, Result};
pub use figure::figures;
pub use files::{OutDir, read_profile};
pub use page::Page;
pub use table::LayerTable;
pub use terminal::TerminalChart;
