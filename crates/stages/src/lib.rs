//! Curves over layers in, stages of inference out.
//!
//! [`segment`] divides the depth of a [`Profile`]'s model into [`Stage`]s, each with the evidence for and against it, or finds
//! that it has none. A [`Segmenter`] does it by another [`Rule`] or with other [`Signal`]s. `docs/stages.md` explains the
//! method; weights and thresholds are fields of [`Rule`].
//!
//! There are no tensors here: everything is f64.
//!
//! ```
//! use stratigraph_profile::{Axis, CorpusRecord, Curve, ModelRecord, Profile, Unit, Verdict};
//! use stratigraph_stages::segment;
//!
//! let (model, corpus) = (ModelRecord::new("m", 6, 8, 100), CorpusRecord::new("c", 1, 8));
//! // Twelve nats for any layer: no layer differs from another.
//! let profile = Profile::new(model, corpus)
//!     .with_curve("delete_kl", Curve::new(Axis::layers(6), Unit::Nats, vec![12.0; 6]))?;
//! assert_eq!(segment(&profile).verdict, Verdict::NoStageStructure);
//! # Ok::<(), stratigraph_profile::ProfileError>(())
//! ```

mod boundary;
mod chance;
mod change;
mod columns;
mod conditional;
mod draws;
mod edge;
mod error;
mod evidence;
mod forms;
mod headline;
mod judge;
mod jump;
mod kind;
mod loss;
mod multiverse;
mod odd;
mod outlier;
mod path;
mod random;
mod reading;
mod removal;
mod robust;
mod rule;
mod segmenter;
mod signal;
mod sink;
mod standard;
mod stories;
mod telling;
mod transition;
mod trial;
mod words;

pub use error::{Result, StagesError};
pub use kind::{EvidenceKind, Expected};
pub use rule::{Rule, Weights};
pub use segmenter::{Segmenter, segment};
pub use signal::{ComparisonScale, Reading, Signal};
#[doc(no_inline)]
pub use stratigraph_profile::{Profile, Segmentation, Stage};
