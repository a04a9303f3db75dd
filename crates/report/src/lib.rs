//! What a study found, for people and programs to read: a page, figures, terminal tables, CSV and JSON.
//!
//! A [`Report`] of a [`Profile`](stratigraph_profile::Profile) writes a directory with all of it. [`LayerTable`] and
//! [`TerminalChart`] print to a terminal. [`Comparison`] puts several profiles on one page. Titles, units and axes come from the
//! [catalogue](stratigraph_profile::catalogue); a curve or matrix that the user has named gets a panel too, and
//! [`Report::with_figure`] adds whole figures.
//!
//! ```
//! use stratigraph_profile::{Axis, CorpusRecord, Curve, ModelRecord, Profile, Unit};
//! use stratigraph_report::Report;
//!
//! let model = ModelRecord::new("my-model", 4, 64, 1000);
//! let damage = Curve::new(Axis::layers(4), Unit::Nats, vec![7.1, 0.2, 0.3, 1.4]);
//! let own = Curve::new(Axis::layers(4), Unit::from("volts"), vec![1.0, 2.0, 3.0, 2.0]).with_title("Tension");
//! let profile = Profile::new(model, CorpusRecord::new("text.txt", 8, 128))
//!     .with_curve("delete_kl", damage)?
//!     .with_curve("tension", own)?;
//!
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path().join("out");
//! let files = Report::new(&profile).write(&directory)?;
//! assert!(files.iter().any(|file| file.ends_with("figures/other_curves.svg")));
//! assert!(Report::new(&profile).write(&directory).is_err()); // it is not empty any more
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bands;
mod blocks;
mod comparison;
mod csv;
mod error;
pub mod figure;
mod groups;
mod out_dir;
mod page;
mod prompt;
mod report;
mod table;
mod terminal;
#[cfg(test)]
mod testing;
mod text;
mod view;

pub use bands::Bands;
pub use comparison::{Alignment, Comparison};
pub use error::{ReportError, Result};
pub use figure::figures;
pub use out_dir::OutDir;
pub use page::PromptLink;
pub use prompt::{LENS_COLUMNS, LensChart, LensMeasure, PromptPage, lens_rows};
pub use report::Report;
pub use table::LayerTable;
pub use terminal::TerminalChart;
