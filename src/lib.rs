//! Interpretability of decoder-only language models on burn: delete, swap, edit and patch what layers compute, measure the
//! damage, read the residual stream with lenses and probes, and find the stages of inference in the curves over depth.
//!
//! The [`prelude`] has what most programs use, in this order: a [`Checkpoint`](prelude::Checkpoint) opens a model and its
//! tokenizer, [`TokenWindows`](prelude::TokenWindows) are the corpus, a [`Study`](prelude::Study) runs
//! [`Sweep`](prelude::Sweep)s and other [`Measurement`](prelude::Measurement)s on them, and its
//! [`Findings`](prelude::Findings) become a [`Profile`](prelude::Profile) with stages, which a
//! [`Report`](prelude::Report) writes.
//!
//! ```
//! use stratigraph::prelude::*;
//!
//! let checkpoint = Checkpoint::open("models/tiny")?; // a file, a directory, or a name in the hub
//! let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
//! let windows = tokenizer.windows(std::fs::File::open("examples/data/sample.txt")?, 32, 2)?;
//!
//! let findings = Study::new(&model).add(Sweep::delete()).run(&windows)?;
//! let kl = findings.curve("delete_kl")?; // nats, over layers
//! assert!(kl.mean[0] > kl.mean[6], "tiny's first layer is its most important one");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each library of the workspace is a module here and can be depended on alone, but for `stratigraph-train`, which brings
//! automatic differentiation, and `stratigraph-kernels`, which is internal. A model of your own takes part when it implements
//! [`ResidualModel`](prelude::ResidualModel). `docs/recipes.md` has short solutions of common tasks,
//! `docs/terms.md` the words of other libraries, and `docs/definitions.md` the definition of every number.

pub use burn;
pub use stratigraph_core as core;
pub use stratigraph_corpus as corpus;
pub use stratigraph_generate as generate;
pub use stratigraph_hub as hub;
pub use stratigraph_models as models;
pub use stratigraph_probes as probes;
pub use stratigraph_profile as profile;
pub use stratigraph_report as report;
pub use stratigraph_stages as stages;
pub use stratigraph_study as study;
pub use stratigraph_surgery as surgery;
pub use stratigraph_tasks as tasks;

/// What most programs use.
///
/// It has no type called `Result` and no function with a common name, so it can be imported whole. Each crate has one
/// error type; all of them convert to `Box<dyn std::error::Error>`.
pub mod prelude {
    // Tensors.
    pub use burn::tensor::{Device, Int, Tensor};

    // Models, what runs inside them, and where it can be read and changed.
    pub use stratigraph_core::{
        Activation, ActivationCache, ActivationSampler, AttentionPair, CoreError, Edit, EditKind, EditValues, Hook,
        HookPoint, HookSet, MeanOver, ModelShape, ModelWeights, NoTap, Observer, PairMask, PerSequence, Positions,
        ResidualModel, RunModel, SamplePositions, Site, Sublayer, Tap, TokenWindows, observe,
    };
    pub use stratigraph_corpus::{BosMode, Corpus, CorpusError, Draw, SampleOver, Windows};
    pub use stratigraph_models::{Checkpoint, Decoder, DecoderConfig, ModelError, Storage, Tokenizer};

    // What is done to a model.
    pub use stratigraph_surgery::search::{Goal, Method, Objective, Operator, Search, SearchOptions, Verdict};
    pub use stratigraph_surgery::{
        Budget, Executor, IncrementalRun, Intervention, LayerPlan, Mergekit, PlannedModel, SurgeryError, Sweep,
        SweepContext, SweepPoints,
    };

    // What it writes then.
    pub use stratigraph_generate::chat::{ChatMessage, ChatTemplate};
    pub use stratigraph_generate::{Comparison, GenerateError, Generation, Generator, Sampling};

    // What is measured.
    pub use stratigraph_probes::ProbeError;
    pub use stratigraph_probes::lens::{AffineConfig, FittedLens, FixedScaleLens, Lens, LensKind, fit_affine};
    pub use stratigraph_probes::metrics::{
        JensenShannon, Kl, LogitDifference, LogitRows, Metric, MetricInput, Metrics, Rank, ReverseKl, RowStatistics,
        TopKOverlap,
    };
    pub use stratigraph_probes::readout::Readout;
    pub use stratigraph_probes::scores::TokenGroups;
    pub use stratigraph_study::measurements::{
        ActivationPatching, AttentionByDistance, Criterion, CumulativeRemoval, EarlyGuesses, LensCurves, LogitLens,
        MergingHeads, NeuronSets, OwnContinuation, PatchDirection, PromptPair, PromptPairs, ResidualGeometry, Steering,
        SteeringTarget, SteeringVector, SublayerEffects, SuffixEnsembles, VocabularyNeurons, WordInContext,
    };
    pub use stratigraph_study::search::{ModelObjective, SearchRun, SearchSetup, TaskMeasure, TaskObjective};
    pub use stratigraph_study::{
        Backend, DeviceName, Findings, Measurement, Needs, Observation, Progress, PromptStudy, Study, StudyContext,
        StudyError, TaskRun, Work,
    };

    // What comes out.
    pub use stratigraph_profile::prompt::PromptReading;
    pub use stratigraph_profile::{Axis, Curve, Estimate, Matrix, Profile, ProfileError, Unit};
    pub use stratigraph_report::{LensChart, LensMeasure, PromptPage, Report};
    pub use stratigraph_stages::{Rule, Segmentation, Segmenter, Signal, Stage};
}

/// The code of the README, compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The code of the page about lenses, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../docs/lenses.md")]
struct Lenses;

/// The code of the page about generation, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/generation.md")]
struct Generation;

/// The code of the page about single prompts, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../docs/prompts.md")]
struct Prompts;

/// The code of the page about corpora, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/corpora.md")]
struct Corpora;

/// The code of the page about pruning, compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../docs/pruning.md")]
struct Pruning;

/// The code of the recipes, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/recipes.md")]
struct Recipes;
