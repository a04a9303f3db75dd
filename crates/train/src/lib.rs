//! What needs automatic differentiation: training of small language models of the shapes of GPT-2, GPT-NeoX and Llama, which can
//! then be studied, fits of [`lens`]es, and Taylor [`importance`] of layers.
//!
//! In the order of use: [`Texts`] reads text files, a [`TrainingConfig`] has the settings, and a [`Trainer`] learns a
//! tokenizer from the texts, trains a [`Decoder`](stratigraph_models::Decoder) on its [`Corpus`] and writes a Hugging Face
//! directory. A run that was interrupted continues from its last checkpoint and ends with the same bits. A [`Trigram`] model of
//! the same tokens says how much can be predicted by counting.
//!
//! ```
//! use stratigraph_models::Checkpoint;
//! use stratigraph_study::Backend;
//! use stratigraph_train::{Texts, Trainer, TrainingConfig};
//!
//! # let dir = tempfile::tempdir()?;
//! # let out = dir.path();
//! let text = include_str!("../../../examples/data/sample.txt").repeat(12); // so that a part can be held out
//! let config = TrainingConfig::default()
//!     .with_shape(2, 16, 2)
//!     .with_d_vocab(300)
//!     .with_n_ctx(16)
//!     .with_batch_size(4)
//!     .with_steps(8, 2) // two of them to warm up
//!     .with_checkpoint_every(4);
//! let mut trainer = Trainer::new(config, &Texts::from_documents([text]), out, &Backend::Flex.device()?)?;
//! trainer.run()?;
//!
//! let model = Checkpoint::open(out)?.load(&Backend::Flex.device()?)?;
//! let nats = trainer.corpus().held_out_loss(&model)?;
//! assert!(nats < 300_f64.ln(), "eight steps are better than a guess");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checkpoints;
mod config;
mod corpus;
mod error;
pub mod importance;
pub mod lens;
mod optimizer;
mod progress;
mod texts;
mod tokenizer;
mod trainer;
mod trigram;

pub use config::{TrainedShape, TrainingConfig};
pub use corpus::Corpus;
pub use error::{Result, TrainError};
pub use progress::{LossPoint, TrainingProgress};
pub use texts::Texts;
pub use trainer::Trainer;
pub use trigram::Trigram;
