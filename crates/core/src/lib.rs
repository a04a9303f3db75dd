//! The types that all Stratigraph crates share: what a residual model is, and where its activations can be read and
//! changed.
//!
//! In the order of use: [`TokenWindows`] cuts text into windows, a [`ResidualModel`] runs them block by block
//! ([`RunModel`]), a [`Hook`] names an activation inside a block and a [`HookPoint`] says in which slot of the run, an
//! [`Edit`] changes one, a [`Tap`] reads or changes them by code, an [`ActivationCache`] is the tap that keeps what it sees,
//! and an [`ActivationSampler`] keeps some rows over a corpus. An [`Observer`] is a tap that measures a whole corpus
//! ([`observe`]), and [`PerSequence`]
//! sums up what it measures.
//!
//! A user with a burn model of their own implements [`ResidualModel`], and can then use surgery and measures without
//! this workspace's decoder.
//!
//! ```
//! use stratigraph_core::{Edit, Hook, TokenWindows};
//!
//! let windows = TokenWindows::new(&[5, 6, 7, 8, 9, 10], 3)?;
//! assert_eq!((windows.n_sequences(), windows.sequence(1)), (2, &[8, 9, 10][..]));
//!
//! // An edit at a hook point is a value with a text form.
//! let edit = Edit::zero(Hook::Z.at(3)).with_heads([2]);
//! assert_eq!(edit.to_string(), "blocks.3.attn.hook_z heads=2 zero");
//! assert_eq!(edit.to_string().parse::<Edit>()?, edit);
//! # Ok::<(), stratigraph_core::CoreError>(())
//! ```

mod activation;
mod borrowed;
mod cache;
mod device_limits;
mod edit;
mod error;
mod hex;
mod hook;
mod hook_set;
mod host;
mod incremental;
mod model;
mod moments;
mod observer;
mod precision;
mod random;
mod run;
mod sample_positions;
mod sampler;
mod shape;
mod shown;
mod tap;
mod taps;
mod tokens;
pub mod transfers;
mod widths;
mod window_sampling;
mod windows;
mod worker_pools;

pub use activation::Activation;
pub use cache::{ActivationCache, CacheFilter};
pub use device_limits::DeviceLimits;
pub use edit::{
    AttentionPair, BlockEdits, CorpusValues, Edit, EditContext, EditData, EditFunction, EditKind, EditTap, EditValues,
    MeanOver, PairMask, PositionMask, Positions, Units,
};
pub use error::{CoreError, Result};
pub use hex::hex;
pub use hook::{Hook, HookPoint};
pub use hook_set::HookSet;
pub use host::is_host_device;
pub use incremental::{BlockState, IncrementalModel};
pub use model::{ModelWeights, ResidualModel, Site, Sublayer};
pub use moments::{Moments, PerSequence, SequenceCount, Summary};
pub use observer::{Observer, observe};
pub use precision::Precision;
pub use random::SplitMix64;
pub use run::{RunModel, check_tap, check_tokens, embed, finish};
pub use sample_positions::{SamplePositions, SampledPosition};
pub use sampler::ActivationSampler;
pub use shape::{ExpertShape, HeadShape, ModelShape};
pub use shown::{Shown, shown};
pub use tap::{NoTap, Replacement, Tap, visit, visit_heads};
pub use taps::Taps;
pub use tokens::{TokenSpan, check_token_ids};
pub use window_sampling::WindowSampling;
pub use windows::TokenWindows;
pub use worker_pools::WorkerPools;
