//! What a study of a language model found: a [`Profile`] of [`Curve`]s, each over a named [`Axis`] with a [`Unit`].
//!
//! The [`catalogue`] names every curve that Stratigraph computes, with its title, unit, scale, axis and definition. Reports,
//! stages, tables and CSV files take them from there. A curve with another name carries its own title and definition.
//!
//! A profile is kept in one JSON file. [`Profile::read`] also reads the files of earlier versions. What was found of a single
//! prompt is a [`PromptReading`](prompt::PromptReading).
//!
//! ```
//! use stratigraph_profile::{Axis, CorpusRecord, Curve, ModelRecord, Profile, Unit};
//!
//! let model = ModelRecord::new("my-model", 4, 64, 1000);
//! let corpus = CorpusRecord::new("text.txt", 8, 128);
//! let damage = Curve::new(Axis::layers(4), Unit::Nats, vec![7.1, 0.2, 0.3, 1.4]);
//! let own = Curve::new(Axis::adjacent_pairs(4), Unit::Cosine, vec![0.9, 0.8, 0.7]).with_title("Cosine of neighbouring writes");
//! let profile = Profile::new(model, corpus).with_curve("delete_kl", damage)?.with_curve("write_cosine", own)?;
//!
//! let curve = profile.curve("delete_kl")?;
//! assert_eq!((curve.axis.label(3), curve.mean[3]), ("layer 3".to_owned(), 1.4));
//! assert!(profile.curve("delete_kll").unwrap_err().to_string().contains("delete_kl"));
//! assert_eq!(Profile::from_json(&profile.to_json())?, profile);
//! # Ok::<(), stratigraph_profile::ProfileError>(())
//! ```

mod axis;
mod boundary;
mod boundary_text;
pub mod catalogue;
mod check;
mod corpus_record;
mod curve;
mod derive;
mod error;
mod file;
mod headline;
mod matrix;
mod migrate;
mod names;
mod nullable;
mod profile;
pub mod prompt;
mod record;
mod segmentation;
mod segmentation_text;
pub mod statistics;
mod story;
mod unit;

pub use axis::Axis;
pub use boundary::{
    Boundary, BoundaryInterval, BoundaryTest, BoundaryVerdict, EdgeEffect, RejectedBoundary, RuleBand, Shape,
    Transition,
};
pub use corpus_record::{CorpusRecord, SamplingRecord};
pub use curve::{Curve, Estimate, ReplicateUnit};
pub use error::{ProfileError, Result};
pub use headline::{DepthQuantiles, Headline};
pub use matrix::Matrix;
pub use profile::Profile;
pub use record::{GroupRecord, InterventionRecord, ModelRecord};
pub use segmentation::{Evidence, OutlierLayer, RemovalFloor, Segmentation, Stage, StageSpan, Support, Verdict};
pub use segmentation_text::Remarks;
pub use story::{Outcome, StoryCheck};
pub use unit::{Scale, Unit};
