//! One prompt, layer by layer: its page, and the grids of lenses for a terminal and as CSV.

mod csv;
mod measure;
mod page;
mod terminal;
#[cfg(test)]
pub(crate) mod testing;

pub use csv::{LENS_COLUMNS, lens_rows};
pub use measure::LensMeasure;
pub use page::PromptPage;
pub use terminal::LensChart;
