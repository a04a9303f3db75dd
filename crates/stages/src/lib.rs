//! What a study of a model found, as numbers over layers, and the stages of inference that they show.
//!
//! A [`Profile`] holds [`Curve`]s; [`Segmentation::of`] divides its depth into [`Stage`]s, each with its [`Evidence`], or says
//! that it has none. How is in `docs/stages.md`; weights and the tests' thresholds are fields of [`Rule`].
//!
//! No tensor enters here: everything is f64 and serialises.
//!
//! ```
//! use stratigraph_stages::{Curve, Profile, Segmentation, Verdict};
//! # let json = r#"{"model": {"name": "m", "n_layers": 6, "d_model": 8, "d_vocab": 100}, "device": "cpu", "versions": {},
//! #   "corpus": {"name": "c", "n_sequences": 1, "seq_len": 8, "special_tokens": false}, "curves": {}}"#;
//! # let mut profile: Profile = serde_json::from_str(json)?;
//! // Twelve nats for any layer: nothing tells one from another.
//! profile.curves.insert("delete_kl".into(), Curve { mean: vec![12.0; 6], ..Curve::default() });
//! assert_eq!(Segmentation::of(&profile).verdict, Verdict::NoStageStructure);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod change;
mod display;
mod draws;
mod evidence;
mod outlier;
mod path;
mod profile;
mod random;
mod reading;
mod robust;
mod rule;
mod segment;
mod signal;
mod stage;

pub use profile::{
    Axis, CorpusRecord, Curve, Estimate, Intervention, InterventionKind, Matrix, ModelRecord, Profile, Units,
};
pub use rule::{Rule, Weights};
pub use signal::Measurement;
pub use stage::{Boundary, Doubt, Evidence, Outlier, Rejected, Segmentation, Stage, StageSpan, Stand, Verdict};
