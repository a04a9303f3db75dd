//! Decoder-only language models on burn, read from checkpoints as they are shipped.
//!
//! In the order of use: [`Checkpoint`] opens a Hugging Face directory, a GGUF or a model of the hub, of any known family, gives its
//! [`Tokenizer`], and loads its weights into a [`Decoder`], which has the shape of its [`DecoderConfig`] and implements
//! [`ResidualModel`](stratigraph_core::ResidualModel). A [`DecoderConfig`] also makes a decoder with random weights, to
//! be trained, and [`Decoder::save`] writes one back.
//!
//! ```no_run
//! use burn::tensor::Device;
//! use stratigraph_models::Checkpoint;
//!
//! let checkpoint = Checkpoint::open("SmolLM2-135M-Instruct.Q4_1.gguf")?;
//! let ids = checkpoint.tokenizer()?.encode("Layers tell a story.")?;
//! let model = checkpoint.load(&Device::default())?;
//! # Ok::<(), stratigraph_models::ModelError>(())
//! ```
//!
//! Numbers are those of the checkpoint: no norm is folded and nothing is centred. What a checkpoint format does to the
//! weights (transposed matrices, permuted query rows) is undone while loading. Whatever is not understood is an error
//! that names it.

mod chat;
mod checkpoint;
mod config;
mod decoder;
mod directory;
mod error;
mod export;
pub mod family;
mod files;
mod guarded;
mod hash;
mod load_options;
mod param;
mod save;
mod tokenizer;
mod write;

pub use chat::ChatFormat;
pub use checkpoint::Checkpoint;
pub use config::{
    Activation, AttentionSinks, Bias, DecoderConfig, EmbedNorm, Experts, Head, LongRope, Mlp, Norm, NormPlacement,
    Position, QkNorm, QueryScaling, Residual, Rope, RopeScaling, SlidingWindow, Weighting, Yarn,
};
pub use decoder::{Decoder, StreamedDecoder};
pub use error::{ModelError, Result};
pub use export::{Export, ExportSizes};
pub use files::read_vector;
pub use load_options::LoadOptions;
pub use save::Storage;
pub use tokenizer::Tokenizer;
