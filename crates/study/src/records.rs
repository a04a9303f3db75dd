//! What a profile says of a model and of a corpus, taken from both.

use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_profile::{CorpusRecord, ModelRecord, SamplingRecord};

/// The record of a model.
pub(crate) fn model_record(model: &dyn ResidualModel, name: &str) -> ModelRecord {
    let shape = model.shape();
    ModelRecord::new(name, shape.n_layers, shape.d_model, shape.d_vocab).with_precision(shape.precision.name())
}

/// The record of a corpus.
pub(crate) fn corpus_record(windows: &TokenWindows, name: &str) -> CorpusRecord {
    let record =
        CorpusRecord::new(name, windows.n_sequences(), windows.seq_len()).with_skip_first(windows.skip_first());
    let documents = windows.documents().unwrap_or_default();
    let record = record.with_documents(documents.to_vec());
    let record = windows.bos().into_iter().fold(record, CorpusRecord::with_bos);
    let sampling = windows.sampling().map(|it| SamplingRecord::new(it.windows.clone(), it.seed));
    sampling.into_iter().fold(record, CorpusRecord::with_sampling)
}
