//! Measures on residual streams and logits, as functions on tensors that never hold more than a tile of the vocabulary.
//!
//! | module | what it measures |
//! |---|---|
//! | [`readout`] | turns residual streams into next-token distributions, tile by tile, and compares each with the clean one |
//! | [`metrics`] | named numbers of one position, built in or your own |
//! | [`scores`] | metrics over a corpus, per window and in f64, so that parts of a corpus merge into the whole |
//! | [`statistics`] | means, standard errors, proportions |
//! | [`lens`] | the residual stream inside the model, read as if the model ended there |
//! | [`attention`] | how far heads look back |
//! | [`attribution`] | what sublayers and heads do for the next token's logit and loss, directly |
//! | [`geometry`] | how long the residual stream is and in which direction it points |
//! | [`similarity`] | whether two sets of vectors have the same shape (CKA) |
//! | [`neurons`] | what MLP neurons write, by their weights |
//! | [`lexical`] | words: their senses, their ends, their suffixes |
//! | [`linear`] | linear probes |
//!
//! Distributions: `p` is the clean model's, `q` the one under test. Logits at position `t` predict token `t + 1`.
//!
//! ```
//! use stratigraph_core::{RunModel, TokenWindows};
//! use stratigraph_models::Checkpoint;
//! use stratigraph_probes::readout::Readout;
//!
//! let model = Checkpoint::open("../../models/tiny")?.load(&burn::tensor::Device::flex())?;
//! let tokens = TokenWindows::new(&[5, 6, 7, 8], 4)?;
//! let resid = model.run_with_edits(&tokens, &[])?; // [1, 4, d_model]
//! let top = Readout::new(&model).top_k(resid.squeeze_dim(0), 3)?; // [pos][3]
//! assert_eq!((top.len(), top[0].len()), (4, 3));
//! assert!(top[0][0].log_prob >= top[0][1].log_prob);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod attention;
pub mod attribution;
mod error;
pub mod geometry;
pub mod lens;
pub mod lexical;
pub mod linear;
pub mod metrics;
pub mod neurons;
pub mod readout;
pub mod scores;
pub mod similarity;
pub mod statistics;

pub use error::{ProbeError, Result};
